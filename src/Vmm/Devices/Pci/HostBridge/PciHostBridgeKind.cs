using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

[DeviceKind("pci.host-bridge", "root of PCI Express: bus 0, its windows, configuration by ports and ECAM")]
internal sealed class PciHostBridgeKind : IDeviceKind<PciHostBridgeSettings>
{
    public static Connection? Offers => PciConnection.Instance;

    /// <summary>The bridge is a function of its own bus.</summary>
    public static IEnumerable<ulong> OwnPlaces => [0];

    public static IEnumerable<Claim> Claims(DevicePlace at, PciHostBridgeSettings settings) =>
    [
        Claim.Ports(PciHostBridge.ConfigAddress, PciHostBridge.ConfigPorts),
        Claim.Ports(PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1 - PlatformMap.PciIoBase),
        .. MemoryOf(settings.Chipset).Select(window => Claim.Memory(window.First, window.End - window.First)),
        .. Enumerable.Range(PciInterrupts.FirstGsi, PciInterrupts.Pins).Select(Claim.Interrupt),
    ];

    public static IDevice Create(DeviceSite site, PciHostBridgeSettings settings)
    {
        var bridge = new PciHostBridge(
            site.Bus,
            site.Memory,
            site.Interrupts,
            [.. Enumerable.Range(PciInterrupts.FirstGsi, PciInterrupts.Pins).Select(site.Line)],
            site.Wire<ResetRegisterWire>(),
            settings.Chipset)
        {
            Name = site.Id,
        };
        site.Wire<InstalledMemory>().Set(bridge.LowMemoryEndAtPowerOn);
        return bridge;
    }

    /// <summary>What no other device of the machine may have at a fixed place.</summary>
    private static IEnumerable<AddressWindow> MemoryOf(HostBridgeChipset chipset)
    {
        var map = PlatformMap.Direct;
        return chipset == HostBridgeChipset.Q35
            ? [new(LegacySegments.Shadow, LegacySegments.End), new(LegacySegments.End, PlatformMap.FixedDevices), map.Memory64]
            : [map.Memory32, map.Ecam!.Range, map.Memory64];
    }
}
