using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Builds blocks from guest memory.</summary>
/// <param name="cpu">The processor that they are decoded for; it has its environment and its translation cache already.</param>
/// <param name="blocks">Where they are kept.</param>
internal sealed unsafe class BlockDecoder(CpuContext* cpu, BlockCache blocks) : IDisposable
{
    private const int MaximumOperations = 64;

    /// <summary>Bytes copied out of guest memory before decoding, so that what was decoded is what is compared later.</summary>
    private const int Window = 512;

    private readonly OperationDecoder _decoder = new(CpuEnvironment.Of(cpu).Profile);
    private readonly GuestMemory _memory = CpuEnvironment.Of(cpu).Memory;
    private readonly byte* _window = (byte*)NativeMemory.AlignedAlloc(Window + 64, 64);
    private readonly byte* _single = (byte*)NativeMemory.AlignedAlloc(512, 64);

    /// <summary>Counter that no block's version matches: for blocks that are never to be entered a second time.</summary>
    private readonly uint* _never = (uint*)NativeMemory.AllocZeroed(sizeof(uint));

    /// <summary>The single instruction decoded last goes to the system or returns from it: SYSCALL, SYSRET, INT and its kind.</summary>
    public bool SingleIsSystemCall { get; private set; }

    /// <summary>
    /// Whether a cached block still is what memory holds; its version is renewed if only other bytes of the page changed.
    /// </summary>
    public bool IsCurrent(Block* block, GuestVirtualAddress linear)
    {
        if (block->Page2 != default)
        {
            var second = linear.Page + 4096;
            // The second page must be fetchable, and the same as before.
            return block->Valid
                && SlowAccess.TryTranslate(cpu, second, AccessKind.Fetch, Tlb.Current(cpu), out var place)
                && place.Kind != BackingKind.Bus
                && place.System.Page == block->Page2
                && _memory.PageVersions[block->Page2.Number] == block->Version2;
        }

        if (block->Valid)
        {
            return true;
        }

        uint version = _memory.WatchCode(block->Physical.Page);
        if (!new ReadOnlySpan<byte>(_memory.Host(block->Physical), block->Bytes).SequenceEqual(
            new ReadOnlySpan<byte>(Code(block), block->Bytes)))
        {
            return false;
        }

        block->Version = version;
        return true;
    }

    /// <summary>
    /// Decodes from memory into the cache; null with an exception recorded if the only instruction runs into a page that cannot be fetched.
    /// </summary>
    public Block* Decode(ulong rip, GuestVirtualAddress linear, SystemPhysicalAddress physical, DecodeMode mode, uint reach)
    {
        uint version = _memory.WatchCode(physical.Page);
        uint toPageEnd = 4096 - linear.PageOffset;
        int available = (int)Math.Min(Math.Min(toPageEnd, Window), reach);
        Unsafe.CopyBlockUnaligned(_window, _memory.Host(physical), (uint)available);

        var block = blocks.Reserve(MaximumOperations + 1, Window);
        var operations = Block.First(block);
        int count = 0;
        int bytes = 0;
        bool ended = false;
        while (count < MaximumOperations && bytes < available)
        {
            var operation = operations + count;
            if (!_decoder.TryDecode(_window + bytes, available - bytes, rip + (ulong)bytes, mode, out var instruction))
            {
                if (count == 0)
                {
                    return DecodeStraddling(rip, linear, physical, mode, reach, version);
                }

                break;
            }

            OperationDecoder.Fill(in instruction, mode, rip, operation, instruction.IsInvalid && _decoder.TooLong);
            count++;
            bytes += instruction.Length;
            if (EndsBlock(in instruction, operation))
            {
                ended = true;
                break;
            }
        }

        int used = Finish(block, operations, count, bytes, ended, mode);
        block->Physical = physical;
        block->Host = (ulong)_memory.Host(physical);
        block->VersionCell = &_memory.PageVersions[physical.Page.Number];
        block->Version = version;
        block->Mode = mode.Key;
        block->Page2 = default;
        block->Version2 = 0;
        Unsafe.CopyBlockUnaligned(Code(block), _window, (uint)bytes);
        blocks.Commit(block, used, bytes);
        return block;
    }

    /// <summary>Decodes one instruction into a place of its own, wherever its bytes come from.</summary>
    public Block* DecodeSingle(ulong rip, GuestVirtualAddress linear, in PhysicalPlace place, DecodeMode mode, uint reach)
    {
        int available = (int)Math.Min(Math.Min(4096 - linear.PageOffset, OperationDecoder.MaximumLength), reach);
        Fetch(place, _window, available);
        if (!_decoder.TryDecode(_window, available, rip, mode, out var instruction))
        {
            if (!TryFetchSecond(linear, ref available, reach, out _, out _))
            {
                return null;
            }

            _decoder.TryDecode(_window, OperationDecoder.MaximumLength, rip, mode, out instruction);
        }

        return Single((Block*)_single, in instruction, rip, mode);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_window);
        NativeMemory.AlignedFree(_single);
        NativeMemory.Free(_never);
    }

    /// <summary>The bytes a block was decoded from, behind its links.</summary>
    private static byte* Code(Block* block) => (byte*)(BlockLinks.Behind(Block.First(block)) + 1);

    private Block* DecodeStraddling(
        ulong rip, GuestVirtualAddress linear, SystemPhysicalAddress physical, DecodeMode mode, uint reach, uint version)
    {
        int available = (int)Math.Min(4096 - linear.PageOffset, reach);
        if (!TryFetchSecond(linear, ref available, reach, out var secondPage, out uint secondVersion))
        {
            return null;
        }

        _decoder.TryDecode(_window, OperationDecoder.MaximumLength, rip, mode, out var instruction);
        if (secondPage == default)
        {
            return Single((Block*)_single, in instruction, rip, mode);
        }

        var block = blocks.Reserve(2, 0);
        Single(block, in instruction, rip, mode);
        block->Physical = physical;
        block->VersionCell = &_memory.PageVersions[physical.Page.Number];
        block->Version = version;
        block->Mode = mode.Key;
        block->Page2 = secondPage;
        block->Version2 = secondVersion;
        blocks.Commit(block, 2, 0);
        return block;
    }

    private Block* Single(Block* block, in Instruction instruction, ulong rip, DecodeMode mode)
    {
        SingleIsSystemCall = instruction.FlowControl == FlowControl.Interrupt
            || instruction.Mnemonic is Mnemonic.Syscall or Mnemonic.Sysret or Mnemonic.Sysretq;
        var operations = Block.First(block);
        OperationDecoder.Fill(in instruction, mode, rip, operations, instruction.IsInvalid && _decoder.TooLong);
        Finish(block, operations, 1, instruction.Length, EndsBlock(in instruction, operations), mode);
        block->Physical = default;
        block->Host = 0;
        block->VersionCell = _never;
        block->Version = uint.MaxValue;
        block->Mode = 0;
        block->Page2 = default;
        return block;
    }

    /// <summary>
    /// Completes the window from the page behind; false with an exception recorded. The page is 0 where it is not memory.
    /// </summary>
    private bool TryFetchSecond(GuestVirtualAddress linear, ref int available, uint reach, out SystemPage page, out uint version)
    {
        page = default;
        version = 0;
        if ((uint)available >= reach)
        {
            // The segment ends within the instruction.
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        var next = linear.Page + 4096;
        if ((cpu->State.Efer & Efer.Lma) == 0)
        {
            next = new((uint)next.Value);
        }

        if (!SlowAccess.IsCanonical(cpu, next.Value))
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        if (!SlowAccess.TryTranslate(cpu, next, AccessKind.Fetch, Tlb.Current(cpu), out var place))
        {
            return false;
        }

        if (place.Kind != BackingKind.Bus)
        {
            page = place.System.Page;
            version = _memory.WatchCode(page);
        }

        int rest = (int)Math.Min(OperationDecoder.MaximumLength - available, reach - (uint)available);
        Fetch(place, _window + available, rest);
        available += rest;
        return true;
    }

    private void Fetch(in PhysicalPlace place, byte* destination, int length)
    {
        if (place.Kind == BackingKind.Bus)
        {
            DeviceAccess.Transfer(cpu, place.Guest, destination, (uint)length, write: false);
        }
        else
        {
            Unsafe.CopyBlockUnaligned(destination, _memory.Host(place.System), (uint)length);
        }
    }

    /// <summary>Closes the block: an operation that goes on behind it if the last one does not leave, then the links.</summary>
    private static int Finish(Block* block, Operation* operations, int count, int bytes, bool ended, DecodeMode mode)
    {
        int used = count;
        if (!ended)
        {
            var onward = operations + used++;
            *onward = default;
            onward->Handler = mode.Bitness == 64 ? &BlockChain.Onward64 : &BlockChain.Onward32;
            onward->Offset = (ushort)bytes;
            onward->Flags = OperationFlags.Last | (mode.Bitness == 64 ? OperationFlags.Long : OperationFlags.None);
        }

        block->Count = (ushort)count;
        block->Bytes = (ushort)bytes;
        var links = (BlockLinks*)(operations + used);
        *links = default;
        links->Owner = block;
        return used;
    }

    private static bool EndsBlock(in Instruction instruction, Operation* operation)
    {
        if (instruction.IsInvalid || (operation->Flags & OperationFlags.Last) != 0 || instruction.FlowControl != FlowControl.Next)
        {
            operation->Flags |= OperationFlags.Last;
            return true;
        }

        return false;
    }
}
