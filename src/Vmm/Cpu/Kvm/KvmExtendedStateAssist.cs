using System.Buffers.Binary;
using Iced.Intel;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// XSAVE64, XSAVEOPT64, XSAVEC64 and XRSTOR64 of a kernel, with all of the host's state components. Needed where KVM lets guests use
/// components that the soft engine does not have (AVX-512, protection keys): a context switch must not lose them (SDM Vol. 1 chapter 13).
/// </summary>
internal sealed unsafe class KvmExtendedStateAssist
{
    private const int MxcsrAt = 24;
    private const int XmmAt = 160;
    private const int XmmEnd = 416;
    private const int HeaderAt = 512;
    private const int HeaderSize = 64;
    private const int ExtendedAt = HeaderAt + HeaderSize;
    private const int MaximumSize = 8192;
    private const ulong X87 = 1;
    private const ulong Sse = 2;
    private const ulong Avx = 4;
    private const ulong Compacted = 1UL << 63;
    private const ulong CodeIsLong = 1 << 10;
    private const uint InitialMxcsr = 0x1f80;

    private readonly KvmVcpuState _transfer;
    private readonly GuestMemory _memory;
    private readonly (int Component, int Offset, int Size, bool Aligned)[] _components;
    private readonly byte[] _image = new byte[MaximumSize];
    private readonly byte[] _bytes = new byte[15];

    public KvmExtendedStateAssist(KvmVcpuState transfer, GuestMemory memory, KvmCpuid cpuid)
    {
        _transfer = transfer;
        _memory = memory;
        _components = [.. cpuid.ExtendedState.OrderBy(part => part.Component)
            .Select(part => (part.Component, (int)part.Offset, (int)part.Size, part.Aligned))];
    }

    /// <summary>True when the instruction was one of these and is complete; false leaves it, and its faults, to the interpreter.</summary>
    /// <param name="state">General and control registers; RIP moves on.</param>
    public bool TryComplete(CpuState* state, ReadOnlySpan<byte> instruction)
    {
        // 0F AE and 0F C7 with REX.W: everything else is not looked at any closer.
        if (instruction.Length < 4 || (instruction[0] & 0xf8) != 0x48 || instruction[1] != 0x0f || instruction[2] is not (0xae or 0xc7)
            || (state->Efer & CodeIsLong) == 0 || (state->Segments[SegmentIndex.Cs].Attributes & SegmentAttributes.Long) == 0
            || (state->Segments[SegmentIndex.Cs].Selector & 3) != 0)
        {
            return false;
        }

        instruction[..Math.Min(15, instruction.Length)].CopyTo(_bytes);
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(_bytes, 0, Math.Min(15, instruction.Length)), state->Rip);
        decoder.Decode(out var decoded);
        ulong requested = state->Xcr0 & ((state->Gpr[2] << 32) | (uint)state->Gpr[0]);
        ulong address = Address(state, decoded);
        bool done = (address & 63) == 0 && decoded.Code switch
        {
            Code.Xsave64_mem => Save(address, requested, skipInitial: false),
            Code.Xsaveopt64_mem => Save(address, requested, skipInitial: true),
            Code.Xsavec64_mem => SaveCompacted(address, requested),
            Code.Xrstor64_mem => Restore(address, requested, state->Xcr0),
            _ => false,
        };
        if (done)
        {
            state->Rip = decoded.NextIP;
        }

        return done;
    }

    private bool Save(ulong address, ulong requested, bool skipInitial)
    {
        int size = StandardSize(requested);
        var image = _image.AsSpan(0, size);
        if (!Move(new(address), image, write: false))
        {
            return false;
        }

        var all = _transfer.ReadExtended();
        ulong used = BinaryPrimitives.ReadUInt64LittleEndian(all[HeaderAt..]);
        ulong stored = skipInitial ? requested & used : requested;
        CopyLegacy(all, image, stored, mxcsr: (requested & (Sse | Avx)) != 0);
        foreach (var (component, offset, length, _) in _components)
        {
            if ((stored >> component & 1) != 0)
            {
                all.Slice(offset, length).CopyTo(image[offset..]);
            }
        }

        ulong before = BinaryPrimitives.ReadUInt64LittleEndian(image[HeaderAt..]);
        BinaryPrimitives.WriteUInt64LittleEndian(image[HeaderAt..], (before & ~requested) | (used & requested));
        return Move(new(address), image, write: true);
    }

    private bool SaveCompacted(ulong address, ulong requested)
    {
        int size = CompactedSize(requested);
        var image = _image.AsSpan(0, size);
        if (!Move(new(address), image, write: false))
        {
            return false;
        }

        var all = _transfer.ReadExtended();
        ulong used = BinaryPrimitives.ReadUInt64LittleEndian(all[HeaderAt..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(all[MxcsrAt..]) != InitialMxcsr)
        {
            used |= Sse; // MXCSR belongs to the SSE component here (SDM Vol. 1 §13.10).
        }

        ulong stored = requested & used;
        CopyLegacy(all, image, stored, mxcsr: (stored & Sse) != 0);
        int at = ExtendedAt;
        foreach (var (component, offset, length, aligned) in _components)
        {
            if ((requested >> component & 1) == 0)
            {
                continue;
            }

            at = aligned ? (at + 63) & ~63 : at;
            if ((stored >> component & 1) != 0)
            {
                all.Slice(offset, length).CopyTo(image[at..]);
            }

            at += length;
        }

        image.Slice(HeaderAt, HeaderSize).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(image[HeaderAt..], stored);
        BinaryPrimitives.WriteUInt64LittleEndian(image[(HeaderAt + 8)..], requested | Compacted);
        return Move(new(address), image, write: true);
    }

    private bool Restore(ulong address, ulong requested, ulong enabled)
    {
        if (!Move(new(address), _image.AsSpan(0, ExtendedAt), write: false))
        {
            return false;
        }

        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(_image.AsSpan(HeaderAt));
        ulong format = BinaryPrimitives.ReadUInt64LittleEndian(_image.AsSpan(HeaderAt + 8));
        bool compacted = (format & Compacted) != 0;
        bool valid = (present & ~enabled) == 0 && !_image.AsSpan(HeaderAt + 16, HeaderSize - 16).ContainsAnyExcept((byte)0)
            && (compacted ? (format & ~Compacted & ~enabled) == 0 && (present & ~format) == 0 : format == 0);
        int size = compacted ? CompactedSize(format & ~Compacted) : StandardSize(requested);
        var image = _image.AsSpan(0, size);
        if (!valid || BinaryPrimitives.ReadUInt32LittleEndian(image[MxcsrAt..]) > ushort.MaxValue
            || !Move(new(address), image, write: false))
        {
            return false;
        }

        ulong loaded = requested & present;
        var all = _transfer.ReadExtended();
        ulong used = BinaryPrimitives.ReadUInt64LittleEndian(all[HeaderAt..]) & ~requested;
        bool mxcsr = compacted ? (loaded & Sse) != 0 : (requested & (Sse | Avx)) != 0;
        CopyLegacy(image, all, loaded, mxcsr);
        if (!mxcsr && (requested & Sse) != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(all[MxcsrAt..], InitialMxcsr);
        }

        if ((requested & ~loaded & Sse) != 0)
        {
            all[XmmAt..XmmEnd].Clear();
        }

        int at = ExtendedAt;
        foreach (var (component, offset, length, aligned) in _components)
        {
            int source = offset;
            if (compacted && (format >> component & 1) != 0)
            {
                at = aligned ? (at + 63) & ~63 : at;
                source = at;
                at += length;
            }

            if ((loaded >> component & 1) != 0)
            {
                image.Slice(source, length).CopyTo(all[offset..]);
            }
        }

        // KVM takes MXCSR only along with the SSE component, which therefore always counts as in use.
        BinaryPrimitives.WriteUInt64LittleEndian(all[HeaderAt..], used | loaded | Sse);
        _transfer.WriteExtended();
        return true;
    }

    private static void CopyLegacy(ReadOnlySpan<byte> from, Span<byte> to, ulong components, bool mxcsr)
    {
        if ((components & X87) != 0)
        {
            from[..MxcsrAt].CopyTo(to);
            from[(MxcsrAt + 8)..XmmAt].CopyTo(to[(MxcsrAt + 8)..]);
        }

        if (mxcsr)
        {
            from.Slice(MxcsrAt, 8).CopyTo(to[MxcsrAt..]);
        }

        if ((components & Sse) != 0)
        {
            from[XmmAt..XmmEnd].CopyTo(to[XmmAt..]);
        }
    }

    private int StandardSize(ulong components)
    {
        int size = ExtendedAt;
        foreach (var (component, offset, length, _) in _components)
        {
            size = (components >> component & 1) != 0 ? Math.Max(size, offset + length) : size;
        }

        return Math.Min(size, MaximumSize);
    }

    private int CompactedSize(ulong components)
    {
        int size = ExtendedAt;
        foreach (var (component, _, length, aligned) in _components)
        {
            if ((components >> component & 1) != 0)
            {
                size = (aligned ? (size + 63) & ~63 : size) + length;
            }
        }

        return Math.Min(size, MaximumSize);
    }

    /// <summary>
    /// Copies between an image and guest memory by linear address. False, and nothing changed, when a page is not there or not writable.
    /// </summary>
    private bool Move(GuestVirtualAddress linear, Span<byte> image, bool write)
    {
        Span<ulong> pages = stackalloc ulong[(MaximumSize / GuestPhysicalAddress.PageSize) + 1];
        int count = 0;
        ulong end = linear.Value + (ulong)image.Length;
        for (var page = linear.Page; page.Value < end; page += GuestPhysicalAddress.PageSize)
        {
            if (_transfer.Translate(page) is not { } translated || (write && !translated.Writable)
                || !_memory.TryFind(translated.Physical, out var mapping)
                    || mapping is not { Kind: BackingKind.Memory, Region.Kind: GuestMemoryKind.Ram })
            {
                return false;
            }

            pages[count++] = translated.Physical.Value & ~0xfffUL;
        }

        for (int index = 0, at = 0; index < count; index++)
        {
            ulong start = index == 0 ? linear.PageOffset : 0;
            int length = (int)Math.Min(GuestPhysicalAddress.PageSize - (int)start, image.Length - at);
            var physical = new GuestPhysicalAddress(pages[index] + start);
            if (!(write ? _memory.TryWrite(physical, image.Slice(at, length)) : _memory.TryRead(physical, image.Slice(at, length))))
            {
                return false;
            }

            at += length;
        }

        return true;
    }

    private static ulong Address(CpuState* state, in Instruction instruction)
    {
        if (instruction.IsIPRelativeMemoryOperand)
        {
            return instruction.IPRelativeMemoryAddress;
        }

        ulong address = instruction.MemoryDisplacement64 + Value(state, instruction.MemoryBase)
            + (Value(state, instruction.MemoryIndex) * (ulong)instruction.MemoryIndexScale);
        return instruction.MemorySegment switch
        {
            Register.FS => address + state->Segments[SegmentIndex.Fs].Base,
            Register.GS => address + state->Segments[SegmentIndex.Gs].Base,
            _ => address,
        };
    }

    private static ulong Value(CpuState* state, Register register) =>
        register is >= Register.RAX and <= Register.R15 ? state->Gpr[register - Register.RAX] : 0;
}
