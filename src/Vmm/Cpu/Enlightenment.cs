using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu;

/// <summary>
/// Something that a guest which knows it is virtual can do better than by the book (SYSTEMS.md 003-4): an interface of KVM's, which both
/// engines offer alike (Linux, Documentation/virt/kvm/x86/cpuid.rst).
/// </summary>
/// <param name="Description">What the guest gains, for people.</param>
/// <param name="Features">Bits of EAX of CPUID leaf 0x40000001, any of which offers it.</param>
/// <param name="IsTaken">Whether a vCPU's MSRs say that its guest took it; null where the guest takes it without telling.</param>
public sealed record Enlightenment(string Name, string Description, uint Features, Enlightenment.TakenBy? IsTaken)
{
    private const ulong Enabled = 1;

    public delegate bool TakenBy(in ModelSpecificRegisters registers);

    public static IReadOnlyList<Enlightenment> All { get; } =
    [
        new("kvm-clock", "The time is read from a page that the monitor keeps, and stays right over pause, save and migration.",
            Bit(KvmParavirtual.KVM_FEATURE_CLOCKSOURCE) | Bit(KvmParavirtual.KVM_FEATURE_CLOCKSOURCE2),
            static (in ModelSpecificRegisters registers) => (registers.KvmSystemTime & Enabled) != 0),
        new("stable-clock", "The clocks of all vCPUs agree, so that programs read the time without asking the kernel.",
            Bit(KvmParavirtual.KVM_FEATURE_CLOCKSOURCE_STABLE_BIT), null),
        new("steal-time", "The guest is told how long its vCPUs waited for a processor of the host, and which of them do not run.",
            Bit(KvmParavirtual.KVM_FEATURE_STEAL_TIME),
            static (in ModelSpecificRegisters registers) => (registers.KvmSteal & Enabled) != 0),
        new("pv-eoi", "The end of an interrupt is noted in memory instead of by an access to the local APIC.",
            Bit(KvmParavirtual.KVM_FEATURE_PV_EOI),
            static (in ModelSpecificRegisters registers) => (registers.KvmPvEoi & Enabled) != 0),
        new("pv-unhalt", "A vCPU that waits for a lock sleeps, and is woken by the one that releases it.",
            Bit(KvmParavirtual.KVM_FEATURE_PV_UNHALT), null),
        new("pv-tlb-flush", "Translations of vCPUs that do not run are flushed when they run again, instead of by interrupts now.",
            Bit(KvmParavirtual.KVM_FEATURE_PV_TLB_FLUSH), null),
        new("pv-send-ipi", "Interrupts to many vCPUs are sent by one call.",
            Bit(KvmParavirtual.KVM_FEATURE_PV_SEND_IPI), null),
        new("pv-sched-yield", "A vCPU that waits for another lets it run first.",
            Bit(KvmParavirtual.KVM_FEATURE_PV_SCHED_YIELD), null),
        new("no-io-delay", "No pauses after port accesses, which only old hardware needs.",
            Bit(KvmParavirtual.KVM_FEATURE_NOP_IO_DELAY), null),
    ];

    /// <param name="features">EAX of CPUID leaf 0x40000001 as the guest sees it.</param>
    public bool IsOffered(uint features) => (features & Features) != 0;

    private static uint Bit(int number) => 1u << number;
}
