using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Power.ResetRegister;

[DeviceKind("power.reset-control", "reset control register, among the ports of a PCI host bridge")]
internal sealed class ResetControlKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Only("the reset control register")];

    public static IDevice Create(DeviceSite site, NoSettings settings)
    {
        var device = new ResetControl(site.Signals) { Name = site.Id };
        site.Wire<ResetRegisterWire>().Register = device;
        return device;
    }
}
