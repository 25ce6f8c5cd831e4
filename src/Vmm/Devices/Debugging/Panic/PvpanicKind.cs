using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Debugging.Panic;

[DeviceKind("debug.pvpanic", "tells the machine that the guest's kernel panicked")]
internal sealed class PvpanicKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Ports(Pvpanic.Port, 1)];

    public static IDevice Create(DeviceSite site, NoSettings settings) => new Pvpanic(site.Signals) { Name = site.Id };
}
