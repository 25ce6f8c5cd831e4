using System.Diagnostics;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>What KVM's paravirtual interfaces need of the run loop.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Nanoseconds, sleep not counted, between two looks at the scheduler's statistics.</summary>
    private const long StealInterval = 5_000_000;

    private readonly StealTime _stealTime = new();
    private long _stealUpdated;

    /// <summary>The guest's struct kvm_steal_time; null while it has none.</summary>
    private GuestPhysicalAddress? StealStructure =>
        (_cpu->State.Msr.KvmSteal & 1) != 0 && Apic is not null ? new GuestPhysicalAddress(_cpu->State.Msr.KvmSteal & ~0x3fUL) : null;

    /// <summary>The vCPU was kicked by another: it leaves HLT, or its next one.</summary>
    private bool _unhalted;

    /// <summary>
    /// Before guest code runs: pages that the guest shares with us say what is true now. A processor that only assists has none.
    /// </summary>
    private void ResumeParavirtual()
    {
        if (Apic is null)
        {
            return;
        }

        KvmRegisters.Resume(_cpu);
        if (StealStructure is { } structure)
        {
            _stealTime.Restart();
            StealTime.MarkPreempted(Memory, structure, preempted: false);

            // A guest that took up KVM's flush elsewhere left it to us while the mark stood. It interrupts vCPUs that have none.
            Tlb.FlushAll(_cpu);
        }
    }

    /// <summary>Guest code runs no longer, until somebody lets it.</summary>
    private void SuspendParavirtual()
    {
        if (StealStructure is { } structure)
        {
            StealTime.MarkPreempted(Memory, structure, preempted: true);
        }
    }

    private void UpdateStealTime()
    {
        if (StealStructure is not { } structure)
        {
            return;
        }

        long now = Stopwatch.GetTimestamp();
        if (now - _stealUpdated >= StealInterval)
        {
            _stealUpdated = now;
            _stealTime.Update(Memory, structure);
        }
    }
}
