using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>A device that can be made: kind found, settings read, place given.</summary>
/// <param name="At">The default value for a kind that has one place.</param>
/// <param name="Settings">As the kind reads them.</param>
/// <param name="Spec">The same, complete: with place and every setting.</param>
public sealed record PlannedDevice(DeviceKind Kind, DevicePlace At, object Settings, DeviceSpec Spec)
{
    public string Id => Spec.Id;

    /// <summary>The id of the device that it is connected to; null for the machine.</summary>
    public string? Host => Kind.Placement is { Connection.IsOfMachine: false } ? At.Bus : null;
}

/// <summary>The devices of a machine, checked, in the order of the spec.</summary>
public sealed class DevicePlan(IReadOnlyList<PlannedDevice> devices)
{
    public IReadOnlyList<PlannedDevice> Devices { get; } = devices;

    /// <summary>Makes the devices and puts them into a tree, each after the one that it is connected to. They are off.</summary>
    public DeviceTree Make(MachineParts machine)
    {
        var tree = new DeviceTree(new BusConnector(machine.Bus));
        try
        {
            var made = new Dictionary<string, IDevice>(StringComparer.Ordinal);
            foreach (var planned in Devices)
            {
                Make(planned, machine, tree, made);
            }

            return tree;
        }
        catch
        {
            tree.Dispose();
            throw;
        }
    }

    /// <summary>The same with one device more, which was planned for it.</summary>
    internal DevicePlan With(PlannedDevice device) => new([.. Devices, device]);

    internal DevicePlan Without(string id) => new([.. Devices.Where(device => device.Id != id)]);

    /// <summary>
    /// Makes one device, gives it its place, and puts it into the tree. It is off. One that fails leaves nothing behind but memory that it
    /// made.
    /// </summary>
    internal static DeviceNode Make(PlannedDevice planned, IDeviceHost? host, MachineParts machine, DeviceTree tree)
    {
        var site = new DeviceSite(planned.Id, planned.At, machine);
        var device = planned.Kind.Create(site, planned.Settings);
        try
        {
            if (device.Name != planned.Id)
            {
                throw new InvalidOperationException($"The kind '{planned.Kind.Name}' made a device '{device.Name}' for '{planned.Id}'.");
            }

            host?.Attach(device, planned.At.Address);
            return tree.Add(device, planned.Host is { } dependency ? [dependency] : [], Connectors(device, host, site));
        }
        catch
        {
            (device as IDisposable)?.Dispose();
            throw;
        }
    }

    private IDevice Make(PlannedDevice planned, MachineParts machine, DeviceTree tree, Dictionary<string, IDevice> made)
    {
        if (made.TryGetValue(planned.Id, out var already))
        {
            return already;
        }

        var host = planned.Host is { } id ? (IDeviceHost)Make(Devices.Single(other => other.Id == id), machine, tree, made) : null;
        var device = Make(planned, host, machine, tree).Device;
        made.Add(planned.Id, device);
        return device;
    }

    // A bus connects what is on it, itself too (a host bridge is a function of its own bus).
    private static IReadOnlyList<IDeviceConnector> Connectors(IDevice device, IDeviceHost? host, DeviceSite site) =>
        [.. new[] { host as IDeviceConnector, device as IDeviceConnector, site.Resources }.OfType<IDeviceConnector>()];
}
