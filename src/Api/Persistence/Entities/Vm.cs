using WebVm.Api.Supervisor;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Api.Persistence.Entities;

/// <summary>A virtual machine: what its owner wants, and what the reconciler last saw.</summary>
public sealed class Vm
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    /// <summary>Unique, in any letter case.</summary>
    public required string Name { get; set; }

    public string Description { get; set; } = "";

    public Dictionary<string, string> Labels { get; set; } = [];

    public required VmConfiguration Configuration { get; set; }

    /// <summary>The configuration that the running monitor was started with; null while none runs.</summary>
    public VmConfiguration? RunningConfiguration { get; set; }

    public DesiredPower Desired { get; set; } = DesiredPower.Off;

    /// <summary>Counts the owner's power commands: a monitor belongs to the command that started it.</summary>
    public long DesiredGeneration { get; set; }

    public ObservedPower Observed { get; set; } = ObservedPower.Off;

    /// <summary>Why the VM is in its observed state: exit reason or error.</summary>
    public string? ObservedReason { get; set; }

    /// <summary>How a run of the VM crashed last; null when none has, or nobody wants to know any more.</summary>
    public VmCrash? LastCrash { get; set; }

    /// <summary>Name of the run: its directory below the VM's folder. Null while no monitor is meant to run.</summary>
    public string? RunId { get; set; }

    /// <summary>What the running monitor is kept by; null while none runs, or one of a build that did not say.</summary>
    public Isolation? Isolation { get; set; }

    /// <summary>Restarts after a crash since the last manual start, or since the VM has last run for ten minutes.</summary>
    public int RestartCount { get; set; }

    public DateTimeOffset? RestartAt { get; set; }

    public DateTimeOffset? StartedAt { get; set; }

    /// <summary>Set when deletion was asked for; the reconciler completes it.</summary>
    public bool Deleting { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset UpdatedAt { get; set; } = DateTimeOffset.UtcNow;

    /// <summary>Advanced by every change of settings: what If-Match compares.</summary>
    public long Revision { get; set; } = 1;
}

public enum DesiredPower
{
    Off,
    On,
    Paused,
    Saved,
}

public enum ObservedPower
{
    Off,
    Starting,
    Running,
    Paused,
    Saving,
    Saved,
    Stopping,
    Crashed,
    Failed,
}

/// <summary>A crash of a VM: its guest's kernel panicked, its processor shut down, or its monitor failed. Nothing that is only suspected.</summary>
public sealed record VmCrash
{
    public required DateTimeOffset At { get; init; }

    public required string Reason { get; init; }

    /// <summary>Whether the last screen is kept.</summary>
    public bool Screen { get; init; }

    /// <summary>How many of the last bytes of serial output are kept.</summary>
    public long SerialBytes { get; init; }

    /// <summary>Where they end in the VM's serial log.</summary>
    public long SerialEnd { get; init; }
}

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
    /// <summary>host, or x86-64-v2, x86-64-v3 or x86-64-v4: levels that are the same on every host, so that machines move between hosts of one vendor.</summary>
    public string Model { get; init; } = "host";

    /// <summary>Whose processor the guest meets. KVM has the host's only; the soft engine has both.</summary>
    public CpuVendorChoice Vendor { get; init; }

    public CpuFeatureConfiguration Features { get; init; } = new();

    /// <summary>Names of features that are offered beyond the model's, as in Linux's /proc/cpuinfo.</summary>
    public IReadOnlyList<string> AddedFeatures { get; init; } = [];

    /// <summary>Names of features of the model that are not offered; what needs them is not offered either.</summary>
    public IReadOnlyList<string> RemovedFeatures { get; init; } = [];

    public bool Equals(CpuConfiguration? other) => other is not null && Model == other.Model && Vendor == other.Vendor && Features == other.Features
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
    /// <summary>5-level paging: 57 bits of virtual address, for one more level in every page walk. The soft engine has it; where the host's KVM does not, engine auto takes soft and a machine with engine kvm fails at its start.</summary>
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
