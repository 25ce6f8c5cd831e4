using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// What the root complex forwards to PCI: BARs are decoded inside these windows only, so a BAR that a guest places over RAM, the interrupt
/// controllers or the configuration window is simply not there.
/// </summary>
internal sealed class PciWindows(SystemBus bus, GuestMemory memory)
{
    public static bool Forwards(PciBarKind kind, ulong address, ulong size) => kind == PciBarKind.Io
        ? IsInside(address, size, PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1UL)
        : IsInside(address, size, PlatformMap.PciMemory32, PlatformMap.PciMemory32End)
            || (kind == PciBarKind.Memory64 && IsInside(address, size, PlatformMap.PciMemory64, PlatformMap.PciMemory64End));

    /// <summary>Decodes the BAR at the address. False when the address is not forwarded, or taken by other memory.</summary>
    public bool TryMap(PciBar bar, ulong address, string owner)
    {
        if (!Forwards(bar.Kind, address, bar.Size))
        {
            return false;
        }

        if (bar.Region is { } region)
        {
            return memory.TryMap(region, new GuestPhysicalAddress(address));
        }

        bar.Window = bar.Ports is { } ports
            ? bus.Add(new PortWindow((ushort)address, (int)bar.Size, ports) { Width = bar.Width }, owner, WindowPrecedence.Relocatable)
            : bus.Add(new MmioWindow(new GuestPhysicalAddress(address), bar.Size, bar.Registers!) { Width = bar.Width }, owner, WindowPrecedence.Relocatable);
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

    private static bool IsInside(ulong address, ulong size, ulong first, ulong end) => address >= first && address < end && size <= end - address;
}
