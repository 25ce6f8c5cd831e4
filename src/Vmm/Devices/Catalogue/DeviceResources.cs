using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>
/// What one device holds of its machine beside its place: timers and memory. They go with it when it is taken out for good.
/// </summary>
internal sealed class DeviceResources(ITimerService timers, GuestMemory memory) : ITimerService, IDeviceConnector
{
    private readonly List<IVirtualTimer> _timers = [];

    public VirtualClock Clock => timers.Clock;

    public IVirtualTimer CreateTimer(Action expired)
    {
        var timer = timers.CreateTimer(expired);
        lock (_timers)
        {
            _timers.Add(timer);
        }

        return timer;
    }

    public void Connect(IDevice device)
    {
    }

    public void Disconnect(IDevice device)
    {
    }

    /// <summary>The last of the device's connectors: the guest reaches nothing of it any more.</summary>
    public void Remove(IDevice device)
    {
        lock (_timers)
        {
            _timers.ForEach(timer => timer.Dispose());
            _timers.Clear();
        }

        foreach (var region in (device as IDeviceMemory)?.MemoryRegions ?? [])
        {
            memory.Release(region);
        }
    }
}
