using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Bus;

/// <summary>Puts the fixed windows of devices on the system bus.</summary>
public sealed class BusConnector(SystemBus bus) : IDeviceConnector
{
    private readonly Dictionary<IDevice, List<BusWindow>> _connected = [];

    public void Connect(IDevice device)
    {
        var windows = new List<BusWindow>();
        try
        {
            foreach (var window in (device as IPortMapped)?.PortWindows ?? [])
            {
                windows.Add(bus.Add(window, device.Name));
            }

            foreach (var window in (device as IMemoryMapped)?.MmioWindows ?? [])
            {
                windows.Add(bus.Add(window, device.Name));
            }
        }
        catch (ArgumentException)
        {
            windows.ForEach(bus.Remove);
            throw;
        }

        if (windows.Count > 0)
        {
            _connected.Add(device, windows);
        }
    }

    public void Disconnect(IDevice device)
    {
        if (_connected.Remove(device, out var windows))
        {
            windows.ForEach(bus.Remove);
            windows.ForEach(window => window.Drain());
        }
    }
}
