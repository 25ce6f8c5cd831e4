using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <summary>
/// One processor in software: its native context, translation cache and decoded blocks, and the way from one block to the next.
/// How it runs as a vCPU (requests, interrupts, sleep) is in SoftVcpu.Run.cs.
/// </summary>
internal sealed unsafe partial class SoftVcpu
{
    private readonly ContextMemory _context = new();
    private readonly CpuContext* _cpu;
    private readonly GCHandle _self;
    private readonly BlockDecoder _decoder;
    private readonly JumpCacheEntry* _noJumps;
    private bool _disposed;

    /// <summary>Creates a processor in its power-on state.</summary>
    /// <param name="profile">What CPUID shows and what works; null for all that is implemented.</param>
    public SoftVcpu(int index, CpuPlace place, GuestMemory memory, IGuestBus bus, CpuProfile? profile = null)
    {
        Profile = profile ?? SoftOffer.Everything(CpuVendor.Intel);
        Index = index;
        Place = place;
        Memory = memory;
        Bus = bus;
        _self = GCHandle.Alloc(this);
        _cpu = _context.Address;
        nuint noJumps = JumpCacheEntry.Count * (nuint)sizeof(JumpCacheEntry);
        _noJumps = (JumpCacheEntry*)NativeMemory.Alloc(noJumps);
        NativeMemory.Fill(_noJumps, noJumps, 0xff);
        Blocks = new BlockCache();
        _decoder = new BlockDecoder(this);
        _cpu->SystemBase = memory.SystemBase;
        _cpu->PageFlags = memory.PageFlags;
        _cpu->PageVersions = memory.PageVersions;
        _cpu->Owner = GCHandle.ToIntPtr(_self);
        _cpu->Vendor = Profile.Vendor;
        CpuReset.PowerOn(&_cpu->State, index == 0, Profile.Vendor);
        TimeStampCounter.ApplyFrequency(_cpu);
        StateReplaced();
    }

    public int Index { get; }

    /// <summary>What CPUID's topology leaves tell.</summary>
    public CpuPlace Place { get; }

    public uint ApicId => Place.ApicId;

    /// <summary>What CPUID shows, and what works because of it.</summary>
    public CpuProfile Profile { get; }

    public GuestMemory Memory { get; }

    public Tlb Tlb { get; } = new();

    public BlockCache Blocks { get; }

    public IGuestBus Bus { get; }

    public VcpuCounters Counters { get; } = new();

    public CpuContext* Context => _cpu;

    /// <summary>The vCPU that a context belongs to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SoftVcpu Of(CpuContext* cpu) => Unsafe.As<SoftVcpu>(GCHandle.FromIntPtr(cpu->Owner).Target!);

    /// <summary>Copies the architectural state out, lazy flags resolved.</summary>
    public void Save(CpuState* destination)
    {
        *destination = _cpu->State;
        destination->Rflags = LazyFlags.ReadAll(_cpu);
        SaveRunState(destination);
    }

    /// <summary>Replaces the architectural state.</summary>
    public void Load(CpuState* source)
    {
        _cpu->State = *source;
        // What handlers rely on, whoever wrote the state.
        _cpu->State.Rflags = (_cpu->State.Rflags & RflagsBits.Defined) | RflagsBits.Always;
        _cpu->State.Xsave.Mxcsr &= 0xffff;
        _cpu->State.Xsave.Pkru = (uint)_cpu->State.Xsave.Pkru;
        _cpu->State.Msr.Pkrs = (uint)_cpu->State.Msr.Pkrs;
        _cpu->State.PendingDebug &= DebugRegisters.Conditions;
        LoadRunState();
        StateReplaced();
    }

    /// <summary>Recomputes everything that derives from the architectural state.</summary>
    public void StateReplaced()
    {
        _cpu->State.Zero = 0;
        _cpu->State.FourGigabytes = 1UL << 32;
        LazyFlags.Write(_cpu, _cpu->State.Rflags);
        ModeChanged();
        Tlb.FlushAll(_cpu);
    }

    /// <summary>Recomputes what derives from segment registers, CR0, CR4, EFER, RFLAGS and DR7. To be called after any of them changed.</summary>
    public void ModeChanged()
    {
        ref var state = ref _cpu->State;
        var cs = Segments.Register(_cpu, SegmentIndex.Cs);
        var ss = Segments.Register(_cpu, SegmentIndex.Ss);
        bool isProtected = (state.Cr0 & Cr0.Pe) != 0;
        bool virtual8086 = isProtected && (state.Rflags & RflagsBits.Vm) != 0;
        bool longMode = (state.Efer & Efer.Lma) != 0;
        bool code64 = longMode && (cs->Attributes & SegmentAttributes.Long) != 0 && !virtual8086;
        _cpu->Cpl = (byte)(!isProtected ? 0 : virtual8086 ? 3 : ((uint)ss->Attributes >> 5) & 3);
        byte bitness = (byte)(code64 ? 64 : isProtected && !virtual8086 && (cs->Attributes & SegmentAttributes.Default32) != 0 ? 32 : 16);
        byte stackBits = (byte)(code64 ? 64 : (ss->Attributes & SegmentAttributes.Default32) != 0 && !virtual8086 ? 32 : 16);
        bool flatCode = code64 || (cs->Base == 0 && cs->Limit == uint.MaxValue);
        bool flatData = code64 || (bitness == 32 && Segments.IsFlat(ss) && Segments.IsFlat(Segments.Register(_cpu, SegmentIndex.Ds))
            && Segments.IsFlat(Segments.Register(_cpu, SegmentIndex.Es)));
        var mode = new DecodeMode(bitness, stackBits, flatData, isProtected && !virtual8086, flatCode);
        _cpu->Mode = mode.Key;
        _cpu->CodeBase = code64 ? 0 : cs->Base;
        _cpu->JumpCache = flatCode ? Blocks.Jumps : _noJumps;
        _cpu->DataBreakpoints = (byte)(DebugRegisters.HasData(_cpu) ? 1 : 0);
        _codeBreakpoints = DebugRegisters.HasCode(_cpu);
        Tlb.SelectPrivilege(_cpu);
    }

    /// <summary>
    /// The block at RIP, decoded if need be; null with an exception recorded if instructions cannot be fetched there.
    /// </summary>
    /// <param name="single">A block of one instruction, not kept.</param>
    public Block* Lookup(bool single = false)
    {
        ulong rip = _cpu->State.Rip;
        ulong linear = rip;
        uint reach = uint.MaxValue;
        if (!_cpu->IsCode64)
        {
            var cs = Segments.Register(_cpu, SegmentIndex.Cs);
            linear = (uint)(rip + cs->Base);
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

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        DisposeRunState();
        Tlb.Dispose();
        Blocks.Dispose();
        _decoder.Dispose();
        NativeMemory.Free(_noJumps);
        _self.Free();
    }

    /// <summary>
    /// A context, all zero. It lasts as long as anybody knows its vCPU: other threads may ask for something although the vCPU has ended, such as
    /// an interrupt on its way.
    /// </summary>
    private sealed class ContextMemory
    {
        public ContextMemory()
        {
            Address = (CpuContext*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuContext), 64);
            NativeMemory.Clear(Address, (nuint)sizeof(CpuContext));
        }

        ~ContextMemory() => NativeMemory.AlignedFree(Address);

        public CpuContext* Address { get; }
    }
}
