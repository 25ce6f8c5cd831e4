using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu;

/// <summary>Why <see cref="IVirtualCpu.Run"/> came back.</summary>
public enum VcpuExit
{
    /// <summary><see cref="IVirtualCpu.Kick"/> was called.</summary>
    Kicked,

    /// <summary>The deadline of <see cref="IVirtualCpu.Deadline"/> passed (SYSTEMS.md 001-9).</summary>
    DeadlineReached,

    /// <summary>Triple fault or an equivalent shutdown cycle (SDM Vol. 3A §6.15, #DF).</summary>
    Shutdown,

    /// <summary>The host could not go on; <see cref="IVirtualCpu.Failure"/> says why.</summary>
    HostFailure,
}

/// <summary>
/// One virtual CPU. It belongs to one thread, which alone calls <see cref="Run"/> and the state accessors; <see cref="Kick"/> may
/// come from anywhere. Port, MMIO, halt and inter-processor interrupts are handled inside <see cref="Run"/>.
/// </summary>
public interface IVirtualCpu : IDisposable
{
    int Index { get; }

    uint ApicId { get; }

    /// <summary>
    /// Host time (Stopwatch ticks) at which <see cref="Run"/> returns at the latest, whatever the guest does; 0 for never.
    /// </summary>
    long Deadline { get; set; }

    string? Failure { get; }

    VcpuCounters Counters { get; }

    /// <summary>Executes guest code until there is a reason to stop. A halted or not yet started vCPU sleeps inside.</summary>
    VcpuExit Run();

    /// <summary>Makes the current or the next <see cref="Run"/> return <see cref="VcpuExit.Kicked"/> soon.</summary>
    void Kick();

    /// <summary>Copies the complete architectural state out. Only between runs.</summary>
    unsafe void Save(CpuState* destination);

    /// <summary>Replaces the complete architectural state. Only between runs.</summary>
    unsafe void Load(CpuState* source);
}

/// <summary>Running totals of one vCPU; written by its thread, read by any.</summary>
public sealed class VcpuCounters
{
    public long PortExits;
    public long MmioExits;
    public long HaltExits;
    public long InterruptsInjected;
    public long Assists;
    public long OtherExits;

    /// <summary>Guest instructions retired; 0 where the engine does not count.</summary>
    public long Instructions;
}
