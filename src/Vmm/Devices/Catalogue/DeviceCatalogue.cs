using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>The kinds of device that machines can be made of.</summary>
public sealed class DeviceCatalogue
{
    private readonly Dictionary<string, DeviceKind> _kinds = new(StringComparer.Ordinal);

    /// <exception cref="ArgumentException">Two kinds have one name.</exception>
    public DeviceCatalogue(params IEnumerable<DeviceKind> kinds)
    {
        foreach (var kind in kinds)
        {
            if (!_kinds.TryAdd(kind.Name, kind))
            {
                throw new ArgumentException($"There are two kinds of device named '{kind.Name}'.", nameof(kinds));
            }
        }
    }

    /// <summary>By name.</summary>
    public IReadOnlyList<DeviceKind> Kinds => [.. _kinds.Values.OrderBy(kind => kind.Name, StringComparer.Ordinal)];

    public DeviceKind? Find(string name) => _kinds.GetValueOrDefault(name);

    /// <summary>A catalogue that has these kinds too.</summary>
    public DeviceCatalogue With(params IEnumerable<DeviceKind> kinds) => new(_kinds.Values.Concat(kinds));

    /// <summary>Checks a machine's devices and gives each its place.</summary>
    /// <param name="faults">Takes every fault; with any of them the plan is not one that a machine can be made of.</param>
    public DevicePlan Plan(IReadOnlyList<DeviceEntry> entries, List<SpecFault> faults) => new DevicePlanner(this, faults).Plan(entries);

    /// <summary>Plans one device more for a machine that runs: checked against what is there, and with a place in a slot.</summary>
    /// <param name="present">What the machine has.</param>
    /// <param name="refusalOf">Why nothing can be plugged into a place now; null where something can.</param>
    /// <returns>Null, and faults, where it cannot come.</returns>
    public PlannedDevice? PlanOneMore(
        DevicePlan present, DeviceEntry entry, Func<DevicePlace, string?> refusalOf,
        List<SpecFault> faults) => new DevicePlanner(this, faults).PlanOneMore(present, entry, refusalOf);
}
