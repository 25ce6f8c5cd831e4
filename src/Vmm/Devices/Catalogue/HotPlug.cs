using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>A device that cannot come, or go, while its machine runs; the message says why.</summary>
public sealed class HotPlugException(string message) : Exception(message);

/// <summary>
/// Devices that come and go while their machine runs: into slots and out of them, as the guest's driver has it
/// (<see cref="IHotPlugController"/>). From its making on such a device is one like all others of the tree.
/// </summary>
public sealed class HotPlug
{
    private readonly DeviceCatalogue _catalogue;
    private readonly MachineParts _machine;
    private readonly DeviceTree _tree;
    private readonly Func<IDevice, bool> _isHeld;
    private volatile DevicePlan _plan;

    /// <param name="plan">What the tree was made of.</param>
    /// <param name="isHeld">Whether others hold on to the device from the machine's start to its end: it neither comes nor goes
    /// then.</param>
    public HotPlug(DeviceCatalogue catalogue, DevicePlan plan, MachineParts machine, DeviceTree tree, Func<IDevice, bool> isHeld)
    {
        _catalogue = catalogue;
        _plan = plan;
        _machine = machine;
        _tree = tree;
        _isHeld = isHeld;
        tree.DeviceGone += id => _plan = _plan.Without(id);
    }

    /// <summary>The devices that there are.</summary>
    public IReadOnlyList<PlannedDevice> Devices => _plan.Devices;

    /// <summary>Makes a device, starts it and shows it to the guest. Called by what drives the tree, while the machine runs.</summary>
    /// <returns>The device with its place and every setting.</returns>
    /// <exception cref="InvalidSpecException">It cannot be had, or not there. Nothing has changed.</exception>
    /// <exception cref="HotPlugException">It could not be made, or did not start. Nothing is left of it.</exception>
    public DeviceSpec Add(DeviceEntry entry)
    {
        var faults = new List<SpecFault>();
        if (_catalogue.PlanOneMore(_plan, entry, RefusalOf, faults) is not { } planned)
        {
            throw new InvalidSpecException(faults);
        }

        var regions = _machine.Memory.AllRegions;
        DeviceNode? node = null;
        try
        {
            node = DevicePlan.Make(planned, (IDeviceHost)_tree.Find(planned.Host!)!.Device, _machine, _tree);
            if (_isHeld(node.Device))
            {
                throw new InvalidSpecException(entry.PointerOf("kind"), $"{Held(planned)}, and cannot come while it runs");
            }

            _tree.Plug(node);
            if (node.Failure is { } failure)
            {
                throw new HotPlugException($"device '{planned.Id}' does not work here: {failure.Reason}");
            }
        }
        catch (Exception failure)
        {
            if (node is not null)
            {
                _tree.Discard(node);
            }

            // What a kind made before it failed.
            foreach (var region in _machine.Memory.AllRegions.Except(regions))
            {
                _machine.Memory.Release(region);
            }

            throw failure is InvalidSpecException or HotPlugException
                ? failure
                : new HotPlugException($"device '{planned.Id}' cannot be made here: {failure.Message}");
        }

        _plan = _plan.With(planned);
        return planned.Spec;
    }

    /// <summary>Takes a device out of its slot, if the guest lets it. Callable from any thread.</summary>
    /// <inheritdoc cref="DeviceTree.UnplugAsync"/>
    /// <exception cref="HotPlugException">There is no such device, or it cannot go.</exception>
    public Task<UnplugOutcome> RemoveAsync(string id, TimeSpan patience, CancellationToken cancellation = default)
    {
        var plan = _plan;
        if (plan.Devices.FirstOrDefault(device => device.Id == id) is not { } planned || _tree.Find(id) is not { } node)
        {
            throw new HotPlugException($"the machine has no device '{id}'");
        }

        if (planned.Host is not { } host || _tree.Find(host)?.Device is not IHotPlugController slot || !slot.Governs(node.Device))
        {
            throw new HotPlugException($"device '{id}' is in no slot from which it could be taken while the machine runs");
        }

        if (plan.Devices.FirstOrDefault(other => other.Host == host && other.Id != id) is { } neighbour)
        {
            throw new HotPlugException($"device '{id}' is in one slot with device '{neighbour.Id}', and cannot go without it");
        }

        if (plan.Devices.FirstOrDefault(other => other.Host == id) is { } dependent)
        {
            throw new HotPlugException($"device '{dependent.Id}' is connected to device '{id}', which cannot go before it");
        }

        return !_isHeld(node.Device)
            ? _tree.UnplugAsync(node, patience, cancellation)
            : throw new HotPlugException($"{Held(planned)}, and cannot go while it runs");
    }

    private static string Held(PlannedDevice device) => $"a {device.Kind.Name} is looked at by the machine's viewers";

    private string? RefusalOf(DevicePlace place) => _tree.Find(place.Bus)?.Device is IHotPlugController slot
        ? slot.RefusalOf(place.Address)
        : $"'{place.Bus}' takes no device while the machine runs";
}
