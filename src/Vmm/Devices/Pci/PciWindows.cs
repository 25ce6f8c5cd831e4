using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// What the root complex forwards to PCI: BARs are decoded inside these windows only, so a BAR that a guest places over RAM, the interrupt
/// controllers or the configuration window is simply not there.
/// </summary>
internal sealed class PciWindows(SystemBus bus, GuestMemory memory, PlatformMap map)
{
    private static readonly AddressWindow s_ports = new(PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1UL);

    private volatile PlatformMap _map = map;

    /// <summary>Where the windows are. Who moves them has all functions look again.</summary>
    public PlatformMap Map
    {
        get => _map;
        set => _map = value;
    }

    public bool Forwards(PciBarKind kind, ulong address, ulong size)
    {
        var map = _map;
        return kind == PciBarKind.Io ? s_ports.Contains(address, size)
            : (map.Memory32.Contains(address, size) || (kind == PciBarKind.Memory64 && map.Memory64.Contains(address, size)))
                && map.Ecam?.Range.Overlaps(address, size) != true;
    }

    /// <summary>Decodes the BAR at an address that is forwarded. False when it is taken by other memory.</summary>
    public bool TryMap(PciBar bar, ulong address, string owner)
    {
        if (bar.Region is { } region)
        {
            return memory.TryMap(region, new GuestPhysicalAddress(address));
        }

        bar.Window = bar.Ports is { } ports
            ? bus.Add(new PortWindow((ushort)address, (int)bar.Size, ports) { Width = bar.Width }, owner, WindowPrecedence.Relocatable)
            : bus.Add(
                new MmioWindow(new GuestPhysicalAddress(address), bar.Size, bar.Registers!) { Width = bar.Width }, owner,
                WindowPrecedence.Relocatable);
        return true;
    }

    /// <returns>The window, if the BAR has one: an access may still be inside.</returns>
    public BusWindow? Unmap(PciBar bar)
    {
        if (bar.Region is { } region)
        {
            memory.Unmap(region);
            return null;
        }

        var window = bar.Window;
        bar.Window = null;
        if (window is not null)
        {
            bus.Remove(window);
        }

        return window;
    }
}
