using System.Diagnostics;
using WebVm.Vmm.Cpu.Soft.Paravirtualization;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft;

/// <content>What KVM's paravirtual interfaces need of the run loop.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Stopwatch ticks (nanoseconds) between two looks at the scheduler's statistics.</summary>
    private const long StealInterval = 5_000_000;

    private readonly StealTime _stealTime = new();
    private long _stealUpdated;

    /// <summary>The vCPU was kicked by another: it leaves HLT, or its next one.</summary>
    private bool _unhalted;

    /// <summary>Before guest code runs: pages that the guest shares with us say what is true now. A processor that only assists has none.</summary>
    private void ResumeParavirtual()
    {
        if (Apic is not null)
        {
            KvmRegisters.Resume(_cpu);
        }
    }

    private void UpdateStealTime()
    {
        ulong structure = _cpu->State.Msr.KvmSteal;
        if ((structure & 1) == 0 || Apic is null)
        {
            return;
        }

        long now = Stopwatch.GetTimestamp();
        if (now - _stealUpdated >= StealInterval)
        {
            _stealUpdated = now;
            _stealTime.Update(Memory, new GuestPhysicalAddress(structure & ~0x3fUL));
        }
    }
}
