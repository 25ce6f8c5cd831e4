using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Input.Ps2;

[DeviceKind("input.i8042", "keyboard controller with keyboard and mouse")]
internal sealed class I8042Kind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
    [
        Claim.Ports(I8042.DataPort, 1), Claim.Ports(I8042.CommandPort, 1), Claim.Interrupt(I8042.KeyboardGsi),
        Claim.Interrupt(I8042.MouseGsi),
    ];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new I8042(site.Line(I8042.KeyboardGsi), site.Line(I8042.MouseGsi), site.Wire<A20Gate>(), site.Signals) { Name = site.Id };
}
