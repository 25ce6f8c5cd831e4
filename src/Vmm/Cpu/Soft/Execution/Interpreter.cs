using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Execution;

/// <summary>Finds a processor's blocks, has them decoded where they are new, and executes them.</summary>
internal sealed unsafe class Interpreter : IDisposable
{
    private readonly CpuContext* _cpu;
    private readonly BlockDecoder _decoder;
    private readonly GCHandle _self;

    /// <param name="cpu">A processor that has its environment and its translation cache.</param>
    public Interpreter(CpuContext* cpu)
    {
        _cpu = cpu;
        Blocks = new BlockCache(cpu);
        _decoder = new BlockDecoder(cpu, Blocks);
        _self = GCHandle.Alloc(this);
        cpu->BlockFinder = GCHandle.ToIntPtr(_self);
        BlockLookup.Connect(cpu, Blocks.Jumps, &Find);
    }

    public BlockCache Blocks { get; }

    /// <summary>The single instruction found last goes to the system or returns from it.</summary>
    public bool SingleIsSystemCall => _decoder.SingleIsSystemCall;

    /// <summary>
    /// The block at RIP, decoded if need be; null with an exception recorded if instructions cannot be fetched there.
    /// </summary>
    /// <param name="single">A block of one instruction, not kept.</param>
    public Block* Lookup(bool single = false)
    {
        ulong rip = _cpu->State.Rip;
        var linear = new GuestVirtualAddress(rip);
        uint reach = uint.MaxValue;
        if (!_cpu->IsCode64)
        {
            var cs = Segments.Register(_cpu, SegmentIndex.Cs);
            linear = new((uint)(rip + cs->Base));
            if (rip > cs->Limit)
            {
                Faults.Record(_cpu, ExceptionVector.GeneralProtection);
                return null;
            }

            reach = (uint)Math.Min(uint.MaxValue, (ulong)cs->Limit - rip + 1);
        }
        else if (!SlowAccess.IsCanonical(_cpu, rip))
        {
            Faults.Record(_cpu, ExceptionVector.GeneralProtection);
            return null;
        }

        if (!SlowAccess.TryTranslate(_cpu, linear, AccessKind.Fetch, Tlb.Current(_cpu), out var place))
        {
            return null;
        }

        if (single || place.Kind == BackingKind.Bus)
        {
            return _decoder.DecodeSingle(rip, linear, place, DecodeMode.FromKey(_cpu->Mode), reach);
        }

        var block = Blocks.Find(place.System, _cpu->Mode);
        if (block == null || !_decoder.IsCurrent(block, linear) || block->Bytes > reach)
        {
            block = _decoder.Decode(rip, linear, place.System, DecodeMode.FromKey(_cpu->Mode), reach);
            if (block == null)
            {
                return null;
            }
        }

        if (DecodeMode.HasFlatCode(_cpu->Mode) && block->Host != 0)
        {
            var jump = &Blocks.Jumps[JumpCacheEntry.Index(rip)];
            jump->Rip = rip;
            jump->Block = block;
        }

        return block;
    }

    /// <summary>Executes from a block until a handler leaves; where to, is in RIP, and why, is the result.</summary>
    public static Outcome Execute(CpuContext* cpu, Block* block)
    {
        cpu->Instructions += block->Count;
        cpu->Outcome = Outcome.Continue;
        Dispatch(cpu, Block.First(block));
        return cpu->Outcome;
    }

    public void Dispose()
    {
        Blocks.Dispose();
        _decoder.Dispose();
        _self.Free();
    }

    /// <summary>For handlers, which know a context alone.</summary>
    private static Block* Find(CpuContext* cpu) => Unsafe.As<Interpreter>(GCHandle.FromIntPtr(cpu->BlockFinder).Target!).Lookup();

    /// <summary>The heart of the interpreter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dispatch(CpuContext* cpu, Operation* op)
    {
        do
        {
            op = op->Handler(cpu, op);
        }
        while (op != null);
    }
}
