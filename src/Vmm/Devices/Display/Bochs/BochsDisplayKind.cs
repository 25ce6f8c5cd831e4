using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;

namespace WebVm.Vmm.Devices.Display.Bochs;

[DeviceKind("display.bochs", "linear framebuffer with a monitor that takes the viewer's size")]
internal sealed class BochsDisplayKind : IDeviceKind<BochsDisplaySettings>
{
    public static Placement? Placement { get; } = new(PciConnection.Instance);

    public static IEnumerable<Claim> Claims(DevicePlace at, BochsDisplaySettings settings) => [Claim.Only("the machine's screen")];

    public static IDevice Create(DeviceSite site, BochsDisplaySettings settings) =>
        new BochsDisplay(site.Memory, settings.Width, settings.Height) { Name = site.Id };
}
