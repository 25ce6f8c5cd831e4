using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Control;

/// <content>The methods for devices, and for those that come and go.</content>
internal sealed partial class ControlMethods
{
    private const string DevicePointer = "/device";

    private MachineDevices Devices() => new([.. (_machine.Spec.Devices ?? []).Select(Describe)]);

    private MachineDevice Describe(DeviceSpec device)
    {
        var node = _machine.Platform.Devices.Find(device.Id);
        return new MachineDevice
        {
            Id = device.Id,
            Kind = device.Kind,
            At = device.At,
            Settings = device.Settings,
            Failure = node?.Failure?.Reason,
            Metrics = (node?.Device as IMeasured)?.Metrics.ToDictionary(metric => metric.Name, metric => metric.Value),
        };
    }

    private ControlResult DeviceAdd(DeviceAddParameters parameters)
    {
        try
        {
            var faults = new List<SpecFault>();
            var device = MachineSpecJson.ReadDevice(new SpecObject(parameters.Device, DevicePointer, faults));
            if (faults.Count > 0)
            {
                throw new InvalidSpecException(faults);
            }

            var added = _machine.AddDevice(new DeviceEntry(device, DevicePointer)).GetAwaiter().GetResult();
            return Value(Describe(added), ControlJson.Default.MachineDevice);
        }
        catch (InvalidSpecException refused)
        {
            throw new ControlException(ControlErrorCode.BadRequest, refused.Message);
        }
    }

    private ControlResult DeviceRemove(DeviceRemoveParameters parameters)
    {
        int deadline = parameters.Deadline ?? ControlProtocol.UnplugDeadline;
        if (deadline is < 0 or > ControlProtocol.LongestUnplugDeadline)
        {
            throw new ControlException(
                ControlErrorCode.BadRequest, $"deadline is 0 to {ControlProtocol.LongestUnplugDeadline} milliseconds");
        }

        if (_machine.Platform.Devices.Find(parameters.Id) is null)
        {
            throw new ControlException(ControlErrorCode.NotPresent, $"the machine has no device '{parameters.Id}'");
        }

        try
        {
            var outcome = _machine.RemoveDevice(parameters.Id, TimeSpan.FromMilliseconds(deadline)).GetAwaiter().GetResult();
            return Value(new DeviceRemoveResult(outcome), ControlJson.Default.DeviceRemoveResult);
        }
        catch (HotPlugException refused)
        {
            throw new ControlException(ControlErrorCode.BadRequest, refused.Message);
        }
    }
}
