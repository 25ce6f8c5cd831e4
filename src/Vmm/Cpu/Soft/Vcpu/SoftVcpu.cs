using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Execution;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <summary>
/// One processor in software: its native context and what belongs to that. How it runs as a vCPU (requests, interrupts, sleep) is in
/// SoftVcpu.Run.cs.
/// </summary>
internal sealed unsafe partial class SoftVcpu
{
    private readonly ContextMemory _context = new();
    private readonly CpuContext* _cpu;
    private readonly CpuEnvironment _environment;
    private readonly Interpreter _interpreter;
    private bool _disposed;

    /// <summary>Creates a processor in its power-on state.</summary>
    /// <param name="profile">What CPUID shows and what works; null for all that is implemented.</param>
    public SoftVcpu(int index, CpuPlace place, GuestMemory memory, IGuestBus bus, CpuProfile? profile = null)
    {
        Index = index;
        _cpu = _context.Address;
        _environment = new CpuEnvironment(_cpu, profile ?? SoftOffer.Everything(CpuVendor.Intel), place, memory, bus);
        Tlb = new Tlb(_cpu);
        _interpreter = new Interpreter(_cpu);
        CpuReset.PowerOn(&_cpu->State, index == 0, _cpu->Vendor);
        TimeStampCounter.ApplyFrequency(_cpu);
        StateReplaced();
    }

    public int Index { get; }

    public CpuPlace Place => _environment.Place;

    public uint ApicId => Place.ApicId;

    public CpuProfile Profile => _environment.Profile;

    public GuestMemory Memory => _environment.Memory;

    public Tlb Tlb { get; }

    public BlockCache Blocks => _interpreter.Blocks;

    public VcpuCounters Counters => _environment.Counters;

    /// <summary>The local APIC; null for a processor that only assists.</summary>
    public LocalApic? Apic
    {
        get => _environment.Apic;
        set => _environment.Apic = value;
    }

    /// <summary>VM time, which the time stamp counter derives from.</summary>
    public VirtualClock? Clock
    {
        get => _environment.Clock;
        set => _environment.Clock = value;
    }

    public CpuContext* Context => _cpu;

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
        ProcessorMode.Update(_cpu);
        Tlb.FlushAll(_cpu);
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
        _interpreter.Dispose();
        _environment.Dispose();
    }

    /// <summary>
    /// A context, all zero. It lasts as long as anybody knows its vCPU: other threads may ask for something although the vCPU has ended,
    /// such as an interrupt on its way.
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
