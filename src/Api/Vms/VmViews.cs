using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Api.Vms;

/// <summary>What a client may set of a VM. Every field but the name has a default.</summary>
[ShownAs(typeof(VmView))]
public sealed record VmSettings : ICheckedBody
{
    /// <summary>Of a host name's form, and no other VM's.</summary>
    [TakenUp(Effect.AtOnce)]
    public required string Name { get; init; }

    /// <summary>For people.</summary>
    [TakenUp(Effect.AtOnce)]
    public string Description { get; init; } = "";

    /// <summary>Up to 64 pairs by which VMs are found.</summary>
    [TakenUp(Effect.AtOnce)]
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Number of vCPUs.</summary>
    [TakenUp(Effect.AtNextStart)]
    public int Cpus { get; init; } = 1;

    /// <summary>What the vCPUs are; as in the monitor's machine spec.</summary>
    [TakenUp(Effect.AtNextStart)]
    public CpuConfiguration Cpu { get; init; } = new();

    /// <summary>Bytes.</summary>
    [TakenUp(Effect.AtNextStart)]
    public long Memory { get; init; } = 512L << 20;

    /// <summary>Virtual NUMA nodes; none for a machine without NUMA.</summary>
    [TakenUp(Effect.AtNextStart)]
    public IReadOnlyList<NumaNode> Numa { get; init; } = [];

    /// <summary>Where the guest comes from.</summary>
    [TakenUp(Effect.AtNextStart)]
    public BootConfiguration Boot { get; init; } = new();

    /// <summary>The screen.</summary>
    [TakenUp(Effect.AtNextStart)]
    public DisplayConfiguration Display { get; init; } = new();

    /// <summary>What runs guest code; auto takes the faster.</summary>
    [TakenUp(Effect.AtNextStart)]
    public EngineChoice Engine { get; init; } = EngineChoice.Auto;

    /// <summary>
    /// What becomes of the time in which the machine was paused or saved: catchUp (the guest's clocks jump ahead, so that its date is
    /// right) or stopped.
    /// </summary>
    [TakenUp(Effect.AtNextStart)]
    public ClockPolicy Clock { get; init; } = ClockPolicy.CatchUp;

    /// <summary>Whether the VM starts again when it ends by itself.</summary>
    [TakenUp(Effect.AtOnce)]
    public RestartPolicy Restart { get; init; } = RestartPolicy.OnFailure;

    /// <summary>Whether the VM starts with the service.</summary>
    [TakenUp(Effect.AtOnce)]
    public AutostartConfiguration Autostart { get; init; } = new();

    /// <summary>Deletion is refused while this is set.</summary>
    [TakenUp(Effect.AtOnce)]
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

    /// <summary>Makes the VM what is set here.</summary>
    /// <returns>Whether that is something else than it was.</returns>
    internal bool ApplyTo(Vm vm)
    {
        var configuration = ToConfiguration();
        if (vm.Name == Name && vm.Description == Description && vm.Labels.Count == Labels.Count
            && vm.Labels.All(label => Labels.TryGetValue(label.Key, out string? value) && value == label.Value)
            && VmConfigurationDifference.Between(vm.Configuration, configuration).Count == 0)
        {
            return false;
        }

        (vm.Name, vm.Description, vm.Labels, vm.Configuration) = (Name, Description, new(Labels), configuration);
        return true;
    }

    ValueTask ICheckedBody.CheckAsync(BodyCheck check) => CheckAsync(check);

    internal ValueTask CheckAsync(BodyCheck check) => VmValidation.CheckAsync(this, check);

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
/// <param name="Isolation">What stands between its monitor and the host; null while none runs, and for one that an older WebVm has
/// started.</param>
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
        return new(
            vm.Id, vm.Name, vm.Description, vm.Labels.Count < 2
                ? vm.Labels
                : new SortedDictionary<string, string>(vm.Labels, StringComparer.Ordinal),
            c.Cpus, c.Cpu, c.Memory, c.Numa, c.Boot, c.Display, c.Engine, c.Clock, c.Restart, c.Autostart, c.DeleteProtection,
            VmPowerView.From(vm), vm.Isolation, VmConfigurationDifference.Pending(vm.RunningConfiguration, c), vm.LastCrash, vm.CreatedAt,
            vm.UpdatedAt);
    }
}

/// <summary>Where a VM's power stands.</summary>
/// <param name="State">What was last seen.</param>
/// <param name="Desired">What its owner asked for.</param>
/// <param name="Reason">Why it is in this state: exit reason or error.</param>
/// <param name="Silent">Its monitor lives and does not answer: the state was seen before.</param>
public sealed record VmPowerView(
    ObservedPower State, DesiredPower Desired, string? Reason, DateTimeOffset? StartedAt, int RestartCount, DateTimeOffset? RestartAt,
    bool Silent)
{
    public static VmPowerView From(Vm vm) =>
        new(vm.Observed, vm.Desired, vm.ObservedReason, vm.StartedAt, vm.RestartCount, vm.RestartAt, vm.Silent);
}
