using WebVm.Vmm.Machine.Spec;

namespace WebVm.Api.Persistence.Entities;

/// <summary>What a VM is made of; stored as one JSON document.</summary>
public sealed record VmConfiguration
{
    public int Cpus { get; init; } = 1;

    public CpuConfiguration Cpu { get; init; } = new();

    /// <summary>Bytes.</summary>
    public long Memory { get; init; } = 512L << 20;

    public IReadOnlyList<NumaNode> Numa { get; init; } = [];

    public BootConfiguration Boot { get; init; } = new();

    public DisplayConfiguration Display { get; init; } = new();

    public EngineChoice Engine { get; init; } = EngineChoice.Auto;

    public ClockPolicy Clock { get; init; } = ClockPolicy.CatchUp;

    public RestartPolicy Restart { get; init; } = RestartPolicy.OnFailure;

    public AutostartConfiguration Autostart { get; init; } = new();

    public bool DeleteProtection { get; init; }
}

/// <summary>What the vCPUs are. Taken up at the next start.</summary>
public sealed record CpuConfiguration
{
    /// <summary>
    /// host, or x86-64-v2, x86-64-v3 or x86-64-v4: levels that are the same on every host, so that machines move between hosts of one
    /// vendor.
    /// </summary>
    public string Model { get; init; } = "host";

    /// <summary>Whose processor the guest meets. KVM has the host's only; the soft engine has both.</summary>
    public CpuVendorChoice Vendor { get; init; }

    public CpuFeatureConfiguration Features { get; init; } = new();

    /// <summary>Names of features that are offered beyond the model's, as in Linux's /proc/cpuinfo.</summary>
    public IReadOnlyList<string> AddedFeatures { get; init; } = [];

    /// <summary>Names of features of the model that are not offered; what needs them is not offered either.</summary>
    public IReadOnlyList<string> RemovedFeatures { get; init; } = [];

    public bool Equals(CpuConfiguration? other) =>
        other is not null && Model == other.Model && Vendor == other.Vendor && Features == other.Features
        && AddedFeatures.SequenceEqual(other.AddedFeatures) && RemovedFeatures.SequenceEqual(other.RemovedFeatures);

    public override int GetHashCode() => HashCode.Combine(Model, Vendor, Features, AddedFeatures.Count, RemovedFeatures.Count);
}

public enum CpuVendorChoice
{
    /// <summary>The vendor of the host's processor.</summary>
    Host,
    Intel,
    Amd,
}

/// <summary>What CPUID offers the guest beyond what every guest is offered.</summary>
public sealed record CpuFeatureConfiguration
{
    /// <summary>
    /// 5-level paging: 57 bits of virtual address, for one more level in every page walk. The soft engine has it; where the host's KVM does
    /// not, engine auto takes soft and a machine with engine kvm fails at its start.
    /// </summary>
    public bool La57 { get; init; }
}

/// <summary>A virtual NUMA node.</summary>
public sealed record NumaNode
{
    /// <summary>Indices of the vCPUs in the node.</summary>
    public IReadOnlyList<int> Cpus { get; init; } = [];

    /// <summary>Bytes.</summary>
    public long Memory { get; init; }

    /// <summary>Distance to each node, 10 to itself (ACPI 6.5 §5.2.17); empty for the default of 20.</summary>
    public IReadOnlyList<int> Distances { get; init; } = [];
}

/// <summary>Where the guest comes from: a catalogue image, or a kernel with its initrd and command line.</summary>
public sealed record BootConfiguration
{
    /// <summary>Name of an image of kind "bundle", such as "tiny".</summary>
    public string? Image { get; init; } = "tiny";

    public string? Kernel { get; init; }

    public string? Initrd { get; init; }

    public string? CommandLine { get; init; }
}

public sealed record DisplayConfiguration
{
    public bool Enabled { get; init; } = true;

    public int Width { get; init; } = 1024;

    public int Height { get; init; } = 768;
}

public enum RestartPolicy
{
    Never,
    OnFailure,
    Always,
}

public sealed record AutostartConfiguration
{
    public bool Enabled { get; init; }

    /// <summary>Lower starts earlier.</summary>
    public int Order { get; init; } = 100;

    /// <summary>Seconds to wait after the one before.</summary>
    public int DelaySeconds { get; init; }
}
