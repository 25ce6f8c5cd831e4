using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;

/// <summary>KVM's own MSRs (Linux, Documentation/virt/kvm/x86/msr.rst): a guest names pages that it shares with its monitor.</summary>
internal static unsafe class KvmRegisters
{
    private const ulong Enabled = 1;

    public static bool TryRead(CpuContext* cpu, uint msr, out ulong value)
    {
        ref var registers = ref cpu->State.Msr;
        switch (msr)
        {
            case KvmParavirtual.MSR_KVM_WALL_CLOCK or KvmParavirtual.MSR_KVM_WALL_CLOCK_NEW:
                value = registers.KvmWallClock;
                return true;
            case KvmParavirtual.MSR_KVM_SYSTEM_TIME or KvmParavirtual.MSR_KVM_SYSTEM_TIME_NEW:
                value = registers.KvmSystemTime;
                return true;
            case KvmParavirtual.MSR_KVM_STEAL_TIME:
                value = registers.KvmSteal;
                return true;
            case KvmParavirtual.MSR_KVM_PV_EOI_EN:
                value = registers.KvmPvEoi;
                return true;
            case KvmParavirtual.MSR_KVM_POLL_CONTROL:
                value = registers.KvmPollControl;
                return true;
            default:
                value = 0;
                return false;
        }
    }

    public static bool TryWrite(CpuContext* cpu, uint msr, ulong value)
    {
        ref var registers = ref cpu->State.Msr;
        var environment = CpuEnvironment.Of(cpu);
        if (environment.Apic is null)
        {
            // A processor that assists KVM shares no pages with the guest: KVM does.
            return false;
        }

        switch (msr)
        {
            case KvmParavirtual.MSR_KVM_WALL_CLOCK or KvmParavirtual.MSR_KVM_WALL_CLOCK_NEW:
                registers.KvmWallClock = value;
                KvmClockPages.WriteWallClock(environment.Memory, new GuestPhysicalAddress(value), environment.Now, DateTimeOffset.UtcNow);
                return true;
            case KvmParavirtual.MSR_KVM_SYSTEM_TIME or KvmParavirtual.MSR_KVM_SYSTEM_TIME_NEW:
                registers.KvmSystemTime = value;
                UpdateClock(cpu);
                return true;
            case KvmParavirtual.MSR_KVM_STEAL_TIME:
                // Bits 5:1 are reserved (KVM_STEAL_RESERVED_MASK).
                if ((value & 0x3e) != 0)
                {
                    return false;
                }

                registers.KvmSteal = value;
                return true;
            case KvmParavirtual.MSR_KVM_PV_EOI_EN:
                if ((value & 2) != 0)
                {
                    return false;
                }

                registers.KvmPvEoi = value;
                UpdateEndOfInterrupt(cpu);
                return true;
            case KvmParavirtual.MSR_KVM_POLL_CONTROL:
                registers.KvmPollControl = value & 1;
                return (value & ~1UL) == 0;
            default:
                return false;
        }
    }

    /// <summary>
    /// Takes up what the MSRs say of a vCPU that was loaded, or whose guest may have been elsewhere meanwhile. Before it runs.
    /// </summary>
    public static void Resume(CpuContext* cpu)
    {
        UpdateClock(cpu, known: true);
        UpdateEndOfInterrupt(cpu);
    }

    /// <summary>INIT: the guest shares nothing any more.</summary>
    public static void Reset(CpuContext* cpu)
    {
        cpu->State.Msr.KvmSystemTime = 0;
        cpu->State.Msr.KvmSteal = 0;
        cpu->State.Msr.KvmPvEoi = 0;
    }

    /// <summary>Writes the guest's clock page, if it has one: it is right until the time stamp counter is set.</summary>
    /// <param name="known">It was written before, for this guest.</param>
    public static void UpdateClock(CpuContext* cpu, bool known = false)
    {
        ulong value = cpu->State.Msr.KvmSystemTime;
        var environment = CpuEnvironment.Of(cpu);
        if ((value & Enabled) != 0 && environment.Apic is not null)
        {
            long now = environment.Now;
            KvmClockPages.WriteSystemTime(
                environment.Memory, new GuestPhysicalAddress(value & ~Enabled), TimeStampCounter.At(cpu, now), cpu->State.Msr.TscKilohertz,
                now,
                stopped: environment.TakeGap(), known);
        }
    }

    private static void UpdateEndOfInterrupt(CpuContext* cpu)
    {
        ulong value = cpu->State.Msr.KvmPvEoi;
        var environment = CpuEnvironment.Of(cpu);
        if ((value & Enabled) != 0)
        {
            environment.Apic?.OfferEndOfInterrupt(environment.Memory, new GuestPhysicalAddress(value & ~3UL));
        }
        else
        {
            environment.Apic?.StopOfferingEndOfInterrupt();
        }
    }
}
