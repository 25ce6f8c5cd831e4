using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Chipset.Clock;

[DeviceKind("clock.mc146818", "real time clock with battery-backed memory")]
internal sealed class RealTimeClockKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
        [Claim.Ports(RealTimeClock.Port, RealTimeClock.PortCount), Claim.Interrupt(RealTimeClock.Gsi)];

    public static IDevice Create(DeviceSite site, NoSettings settings)
    {
        var installed = site.Wire<InstalledMemory>();
        var clock = new RealTimeClock(site.Timers, site.Line(RealTimeClock.Gsi), Low(), site.Facts.Memory - Low()) { Name = site.Id };
        installed.Changed += () => clock.DescribeMachine(Low(), site.Facts.Memory - Low());
        site.Wire<LegacyReplacement>().Changed += replaced => clock.Disconnected = replaced;
        return clock;

        ulong Low() => Math.Min(site.Facts.Memory, installed.LowEnd);
    }
}
