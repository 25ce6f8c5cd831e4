using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

[DeviceKind("pci.host-bridge", "root of PCI Express: bus 0, its windows, configuration by ports and ECAM")]
internal sealed class PciHostBridgeKind : IDeviceKind<NoSettings>
{
    public static Connection? Offers => PciConnection.Instance;

    /// <summary>The bridge is a function of its own bus.</summary>
    public static IEnumerable<ulong> OwnPlaces => [0];

    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
    [
        Claim.Ports(PciHostBridge.ConfigAddress, PciHostBridge.ConfigPorts),
        Claim.Ports(PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1 - PlatformMap.PciIoBase),
        Claim.Memory(PlatformMap.PciMemory32, PlatformMap.PciMemory32End - PlatformMap.PciMemory32),
        Claim.Memory(PlatformMap.Ecam, (ulong)PlatformMap.EcamBuses << 20),
        Claim.Memory(PlatformMap.PciMemory64, PlatformMap.PciMemory64End - PlatformMap.PciMemory64),
        .. Enumerable.Range(PciInterrupts.FirstGsi, PciInterrupts.Pins).Select(Claim.Interrupt),
    ];

    public static IDevice Create(DeviceSite site, NoSettings settings) => new PciHostBridge(
        site.Bus,
        site.Memory,
        site.Interrupts,
        [.. Enumerable.Range(PciInterrupts.FirstGsi, PciInterrupts.Pins).Select(site.Line)],
        site.Wire<ResetRegisterWire>())
    {
        Name = site.Id,
    };
}
