using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Power.SystemControl;

[DeviceKind("power.system-control", "system control port A: fast reset and A20")]
internal sealed class SystemControlKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Ports(SystemControlPort.Port, 1)];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new SystemControlPort(site.Wire<A20Gate>(), site.Signals) { Name = site.Id };
}
