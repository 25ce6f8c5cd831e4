using WebVm.Api.Persistence.Entities;
using WebVm.Api.Supervisor;

namespace WebVm.Api.Vms;

/// <summary>What a client may set of a VM. Every field but the name has a default.</summary>
public sealed record VmSettings
{
    public required string Name { get; init; }

    public string Description { get; init; } = "";

    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Number of vCPUs.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>What the vCPUs are; as in the monitor's machine spec.</summary>
    public CpuConfiguration Cpu { get; init; } = new();

    /// <summary>Bytes.</summary>
    public long Memory { get; init; } = 512L << 20;

    /// <summary>Virtual NUMA nodes; none for a machine without NUMA.</summary>
    public IReadOnlyList<NumaNode> Numa { get; init; } = [];

    public BootConfiguration Boot { get; init; } = new();

    public DisplayConfiguration Display { get; init; } = new();

    public EngineChoice Engine { get; init; } = EngineChoice.Auto;

    /// <summary>What becomes of the time in which the machine was paused or saved: catchUp (the guest's clocks jump ahead, so that its date is right) or stopped.</summary>
    public ClockPolicy Clock { get; init; } = ClockPolicy.CatchUp;

    public RestartPolicy Restart { get; init; } = RestartPolicy.OnFailure;

    public AutostartConfiguration Autostart { get; init; } = new();

    /// <summary>Deletion is refused while this is set.</summary>
    public bool DeleteProtection { get; init; }

    public static VmSettings From(Vm vm) => new()
    {
        Name = vm.Name,
        Description = vm.Description,
        Labels = vm.Labels,
        Cpus = vm.Configuration.Cpus,
        Cpu = vm.Configuration.Cpu,
        Memory = vm.Configuration.Memory,
        Numa = vm.Configuration.Numa,
        Boot = vm.Configuration.Boot,
        Display = vm.Configuration.Display,
        Engine = vm.Configuration.Engine,
        Clock = vm.Configuration.Clock,
        Restart = vm.Configuration.Restart,
        Autostart = vm.Configuration.Autostart,
        DeleteProtection = vm.Configuration.DeleteProtection,
    };

    public VmConfiguration ToConfiguration() => new()
    {
        Cpus = Cpus,
        Cpu = Cpu,
        Memory = Memory,
        Numa = Numa,
        // A kernel of one's own takes the place of the default image.
        Boot = Boot.Kernel is null ? Boot : Boot with { Image = null },
        Display = Display,
        Engine = Engine,
        Clock = Clock,
        Restart = Restart,
        Autostart = Autostart,
        DeleteProtection = DeleteProtection,
    };
}

/// <summary>A VM as clients see it.</summary>
/// <param name="Isolation">What stands between its monitor and the host; null while none runs, and for one that an older WebVm has started.</param>
public sealed record VmView(
    Guid Id,
    string Name,
    string Description,
    IReadOnlyDictionary<string, string> Labels,
    int Cpus,
    CpuConfiguration Cpu,
    long Memory,
    IReadOnlyList<NumaNode> Numa,
    BootConfiguration Boot,
    DisplayConfiguration Display,
    EngineChoice Engine,
    ClockPolicy Clock,
    RestartPolicy Restart,
    AutostartConfiguration Autostart,
    bool DeleteProtection,
    VmPowerView Power,
    Isolation? Isolation,
    IReadOnlyList<string> PendingChanges,
    VmCrash? LastCrash,
    DateTimeOffset CreatedAt,
    DateTimeOffset UpdatedAt)
{
    public static VmView From(Vm vm)
    {
        var c = vm.Configuration;
        return new(vm.Id, vm.Name, vm.Description, vm.Labels, c.Cpus, c.Cpu, c.Memory, c.Numa, c.Boot, c.Display, c.Engine, c.Clock, c.Restart, c.Autostart, c.DeleteProtection,
            VmPowerView.From(vm), vm.Isolation, PendingChange.Between(vm.RunningConfiguration, c), vm.LastCrash, vm.CreatedAt, vm.UpdatedAt);
    }
}

/// <summary>Where a VM's power stands.</summary>
/// <param name="State">What was last seen.</param>
/// <param name="Desired">What its owner asked for.</param>
/// <param name="Reason">Why it is in this state: exit reason or error.</param>
public sealed record VmPowerView(ObservedPower State, DesiredPower Desired, string? Reason, DateTimeOffset? StartedAt, int RestartCount, DateTimeOffset? RestartAt)
{
    /// <summary>The reason of a state that is the last one seen, for the monitor lives and keeps silent.</summary>
    public const string NoAnswer = "The monitor does not answer.";

    public static VmPowerView From(Vm vm) => new(vm.Observed, vm.Desired, vm.ObservedReason, vm.StartedAt, vm.RestartCount, vm.RestartAt);
}

/// <summary>Settings that differ between the running machine and its next start.</summary>
internal static class PendingChange
{
    public static IReadOnlyList<string> Between(VmConfiguration? running, VmConfiguration wanted)
    {
        if (running is null)
        {
            return [];
        }

        var changed = new List<string>();
        Add(changed, "/cpus", running.Cpus == wanted.Cpus);
        Add(changed, "/cpu", running.Cpu == wanted.Cpu);
        Add(changed, "/memory", running.Memory == wanted.Memory);
        Add(changed, "/numa", SameJson(running.Numa, wanted.Numa));
        Add(changed, "/boot", running.Boot == wanted.Boot);
        Add(changed, "/display", running.Display == wanted.Display);
        Add(changed, "/engine", running.Engine == wanted.Engine);
        Add(changed, "/clock", running.Clock == wanted.Clock);
        return changed;
    }

    private static void Add(List<string> changed, string pointer, bool same)
    {
        if (!same)
        {
            changed.Add(pointer);
        }
    }

    private static bool SameJson<T>(T left, T right) =>
        System.Text.Json.JsonSerializer.Serialize(left, Conventions.ApiJson.Options) == System.Text.Json.JsonSerializer.Serialize(right, Conventions.ApiJson.Options);
}
