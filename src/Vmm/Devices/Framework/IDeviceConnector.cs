namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// Ties devices to one way of being reached (fixed bus windows, a PCI slot, …). Asked for every device; one that it does
/// not serve it leaves alone.
/// </summary>
public interface IDeviceConnector
{
    /// <summary>The guest may reach the device from here on.</summary>
    void Connect(IDevice device);

    /// <summary>When this returns no access to the device is in progress, and none begins.</summary>
    void Disconnect(IDevice device);

    /// <summary>
    /// The device is to sleep: the guest reaches nothing but what wakes it. When this returns no other access is in progress.
    /// </summary>
    void Sleep(IDevice device)
    {
    }

    /// <summary>The device is started again after a sleep.</summary>
    void Wake(IDevice device)
    {
    }

    /// <summary>The device is gone for good: its place is free.</summary>
    void Remove(IDevice device)
    {
    }
}
