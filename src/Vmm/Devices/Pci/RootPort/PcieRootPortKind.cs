using System.Globalization;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci.RootPort;

[DeviceKind("pcie.root-port", "port of the PCI Express root: a bus of its own for one device, which may be plugged in and out")]
internal sealed class PcieRootPortKind : IDeviceKind<PcieRootPortSettings>
{
    public static Placement? Placement { get; } = new(PciConnection.RootPort);

    public static Connection? Offers => PciConnection.Link;

    public static IEnumerable<Claim> Claims(DevicePlace at, PcieRootPortSettings settings) =>
    [
        new("physical slots", SlotNumber(at, settings), 1, number => number.ToString(CultureInfo.InvariantCulture))
        {
            Setting = settings.Slot is null ? null : "slot",
        },
    ];

    public static IDevice Create(DeviceSite site, PcieRootPortSettings settings) =>
        new PcieRootPort((byte)site.At.Address, (int)SlotNumber(site.At, settings), settings.HotPlug) { Name = site.Id };

    private static ulong SlotNumber(DevicePlace at, PcieRootPortSettings settings) => (ulong?)settings.Slot ?? at.Address;
}
