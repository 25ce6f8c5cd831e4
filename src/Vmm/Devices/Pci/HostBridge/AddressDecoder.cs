using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>Brings RAM, the configuration window and what PCI functions decode in line with the map, while the guest runs.</summary>
/// <remarks>Its lock is held while BARs and RAM move, so it comes before every other of a device.</remarks>
internal sealed class AddressDecoder(SystemBus bus, PciWindows windows, SystemRam ram, IMmioHandler ecam)
{
    private readonly Lock _lock = new();

    /// <summary>Windows that the configuration window has left, perhaps with an access still inside.</summary>
    private readonly List<BusWindow> _left = [];
    private string? _owner;
    private BusWindow? _window;
    private LegacySegments _segments = LegacySegments.AllMemory;

    /// <summary>The functions that look again where they are decoded.</summary>
    public PciBus? Root { get; init; }

    public PlatformMap Map => windows.Map;

    /// <summary>Takes over a map. Whoever changed what it is made of comes here after it, so the last one sees all.</summary>
    /// <param name="wanted">What to take over; asked with the lock held.</param>
    public void Apply(Func<(PlatformMap Map, LegacySegments Segments)> wanted)
    {
        lock (_lock)
        {
            var (map, segments) = wanted();
            var before = windows.Map;
            if (map == before && segments == _segments)
            {
                return;
            }

            // First BARs go where they may not be any more; then RAM comes; then BARs come where RAM was.
            _segments = segments;
            windows.Map = map;
            LookAgain();
            ram.Show(map, segments);
            LookAgain();
            if (map.Ecam != before.Ecam && _owner is not null)
            {
                Move();
            }
        }
    }

    /// <summary>The guest reaches configuration space from here on.</summary>
    public void Connect(string owner)
    {
        lock (_lock)
        {
            _owner = owner;
            Move();
        }
    }

    /// <summary>When this returns no access by the window is in progress, and none begins.</summary>
    public void Disconnect()
    {
        BusWindow[] left;
        lock (_lock)
        {
            _owner = null;
            Move();
            left = [.. _left];
            _left.Clear();
        }

        // Not under the lock: an access inside may be about to take it.
        foreach (var window in left)
        {
            window.Drain();
        }
    }

    private void LookAgain()
    {
        foreach (var function in Root?.AllFunctions ?? [])
        {
            function.UpdateMappings();
        }
    }

    private void Move()
    {
        // Not waited for here: it may be from within an access that the window moves.
        _left.RemoveAll(window => window.IsEmpty);
        if (_window is { } old)
        {
            bus.Remove(old);
            _left.Add(old);
            _window = null;
        }

        if (_owner is { } owner && windows.Map.Ecam is { } place)
        {
            // Where it lies over the chipset's own devices, they answer.
            var window = new MmioWindow(new GuestPhysicalAddress(place.Base), place.Size, ecam) { Width = 4 };
            _window = bus.Add(window, owner, WindowPrecedence.Relocatable);
        }
    }
}
