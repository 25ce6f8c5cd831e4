using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;

[DeviceKind("timer.hpet", "high precision event timers")]
internal sealed class HpetKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Memory(Hpet.Base, Hpet.WindowSize)];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new Hpet(site.Timers, site.Line, site.Wire<LegacyReplacement>().Set) { Name = site.Id };
}
