using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Measurement;

/// <summary>This host's KVM.</summary>
public sealed record KvmProbe
{
    /// <summary>Why KVM cannot be used; null when it can.</summary>
    public string? Unusable { get; init; }

    public int ApiVersion { get; init; }

    public int RecommendedVcpus { get; init; }

    public int MaximumVcpus { get; init; }

    public int MemorySlots { get; init; }

    /// <summary>Frequency of the guests' time stamp counter in kHz; 0 when unknown.</summary>
    public int TscKilohertz { get; init; }

    /// <summary>What is there of that which WebVm uses or may use, by KVM's name for it.</summary>
    public IReadOnlyDictionary<string, bool> Capabilities { get; init; } = new Dictionary<string, bool>();

    /// <summary>
    /// SYSCALL takes a guest's user code to its kernel. An incomplete KVM was met whose processor goes to the entry point and stays at
    /// CPL 3; kernels boot on it, and each of their programs dies at its first system call.
    /// </summary>
    public bool SystemCalls { get; init; }

    /// <summary>Null when a guest could not be run.</summary>
    public GuestSpeed? Speed { get; init; }

    internal static KvmProbe Measure()
    {
        using var device = KvmDevice.TryOpen(out string? reason);
        if (device is null)
        {
            return new KvmProbe { Unusable = reason };
        }

        var probe = new KvmProbe
        {
            ApiVersion = device.ApiVersion,
            RecommendedVcpus = device.Capability(KvmCapabilities.KVM_CAP_NR_VCPUS),
            MaximumVcpus = device.Capability(KvmCapabilities.KVM_CAP_MAX_VCPUS),
            MemorySlots = device.Capability(KvmCapabilities.KVM_CAP_NR_MEMSLOTS),
            Capabilities = CapabilitiesOf(device),
        };
        string[] missing = [.. s_required.Where(name => !probe.Capabilities[name])];
        if (missing.Length > 0)
        {
            return probe with { Unusable = $"it lacks {string.Join(", ", missing)}" };
        }

        try
        {
            var (speed, frequency) = GuestSpeedMeasurement.OnKvm();
            return probe with { Speed = speed, TscKilohertz = frequency, SystemCalls = TakesSystemCalls() };
        }
        catch (Exception failure) when (failure is LinuxException or InvalidOperationException)
        {
            return probe with { Unusable = failure.Message };
        }
    }

    /// <summary>See <see cref="SystemCalls"/>. A triple fault, an exit at a wrong place or a refusal all mean no.</summary>
    internal static bool TakesSystemCalls()
    {
        try
        {
            return GuestSpeedMeasurement.TakesSystemCallsOnKvm();
        }
        catch (Exception failure) when (failure is LinuxException or InvalidOperationException)
        {
            return false;
        }
    }

    private static readonly string[] s_required =
    [
        nameof(KvmCapabilities.KVM_CAP_USER_MEMORY), nameof(KvmCapabilities.KVM_CAP_IRQCHIP), nameof(KvmCapabilities.KVM_CAP_PIT2),
        nameof(KvmCapabilities.KVM_CAP_IRQ_ROUTING), nameof(KvmCapabilities.KVM_CAP_SIGNAL_MSI),
        nameof(KvmCapabilities.KVM_CAP_IMMEDIATE_EXIT),
        nameof(KvmCapabilities.KVM_CAP_XSAVE), nameof(KvmCapabilities.KVM_CAP_READONLY_MEM), nameof(KvmCapabilities.KVM_CAP_MP_STATE),
    ];

    private static SortedDictionary<string, bool> CapabilitiesOf(KvmDevice device)
    {
        SortedDictionary<string, bool> found = new(StringComparer.Ordinal);
        foreach (var (name, number) in s_reported)
        {
            found[name] = device.Capability(number) != 0;
        }

        return found;
    }

    private static readonly (string Name, int Number)[] s_reported =
    [
        (nameof(KvmCapabilities.KVM_CAP_USER_MEMORY), KvmCapabilities.KVM_CAP_USER_MEMORY),
        (nameof(KvmCapabilities.KVM_CAP_IRQCHIP), KvmCapabilities.KVM_CAP_IRQCHIP),
        (nameof(KvmCapabilities.KVM_CAP_PIT2), KvmCapabilities.KVM_CAP_PIT2),
        (nameof(KvmCapabilities.KVM_CAP_IRQ_ROUTING), KvmCapabilities.KVM_CAP_IRQ_ROUTING),
        (nameof(KvmCapabilities.KVM_CAP_SIGNAL_MSI), KvmCapabilities.KVM_CAP_SIGNAL_MSI),
        (nameof(KvmCapabilities.KVM_CAP_IRQFD), KvmCapabilities.KVM_CAP_IRQFD),
        (nameof(KvmCapabilities.KVM_CAP_IOEVENTFD), KvmCapabilities.KVM_CAP_IOEVENTFD),
        (nameof(KvmCapabilities.KVM_CAP_IMMEDIATE_EXIT), KvmCapabilities.KVM_CAP_IMMEDIATE_EXIT),
        (nameof(KvmCapabilities.KVM_CAP_MP_STATE), KvmCapabilities.KVM_CAP_MP_STATE),
        (nameof(KvmCapabilities.KVM_CAP_XSAVE), KvmCapabilities.KVM_CAP_XSAVE),
        (nameof(KvmCapabilities.KVM_CAP_XSAVE2), KvmCapabilities.KVM_CAP_XSAVE2),
        (nameof(KvmCapabilities.KVM_CAP_SREGS2), KvmCapabilities.KVM_CAP_SREGS2),
        (nameof(KvmCapabilities.KVM_CAP_READONLY_MEM), KvmCapabilities.KVM_CAP_READONLY_MEM),
        (nameof(KvmCapabilities.KVM_CAP_ADJUST_CLOCK), KvmCapabilities.KVM_CAP_ADJUST_CLOCK),
        (nameof(KvmCapabilities.KVM_CAP_TSC_DEADLINE_TIMER), KvmCapabilities.KVM_CAP_TSC_DEADLINE_TIMER),
        (nameof(KvmCapabilities.KVM_CAP_TSC_CONTROL), KvmCapabilities.KVM_CAP_TSC_CONTROL),
        (nameof(KvmCapabilities.KVM_CAP_X2APIC_API), KvmCapabilities.KVM_CAP_X2APIC_API),
        (nameof(KvmCapabilities.KVM_CAP_STEAL_TIME), KvmCapabilities.KVM_CAP_STEAL_TIME),
        (nameof(KvmCapabilities.KVM_CAP_SYNC_REGS), KvmCapabilities.KVM_CAP_SYNC_REGS),
        (nameof(KvmCapabilities.KVM_CAP_DIRTY_LOG_RING), KvmCapabilities.KVM_CAP_DIRTY_LOG_RING),
        (nameof(KvmCapabilities.KVM_CAP_EXIT_ON_EMULATION_FAILURE), KvmCapabilities.KVM_CAP_EXIT_ON_EMULATION_FAILURE),
        (nameof(KvmCapabilities.KVM_CAP_HYPERV), KvmCapabilities.KVM_CAP_HYPERV),
        (nameof(KvmCapabilities.KVM_CAP_X86_SMM), KvmCapabilities.KVM_CAP_X86_SMM),
        (nameof(KvmCapabilities.KVM_CAP_NESTED_STATE), KvmCapabilities.KVM_CAP_NESTED_STATE),
    ];
}
