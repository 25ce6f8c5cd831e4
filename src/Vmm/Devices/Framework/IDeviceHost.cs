namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device that other devices are connected to: a bus with places.</summary>
public interface IDeviceHost
{
    /// <summary>Gives a device a place. The guest sees it once it is started.</summary>
    /// <exception cref="ArgumentException">The place is taken, or such a device does not fit.</exception>
    void Attach(IDevice device, ulong place);
}
