using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;

namespace WebVm.Vmm.Devices.Chipset.IntervalTimer;

[DeviceKind("timer.8254", "interval timer and speaker control")]
internal sealed class PitKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
        [Claim.Ports(PitPorts.Counters, PitPorts.CounterPortCount), Claim.Ports(PitPorts.SystemControlB, 1), Claim.Interrupt(PitPorts.Gsi)];

    public static IDevice Create(DeviceSite site, NoSettings settings)
    {
        var engine = site.Part<ICpuEngine>();
        site.Wire<LegacyReplacement>().Changed += replaced => engine.ConnectPit(!replaced);
        return new PitPorts(engine.Chips?.Pit) { Name = site.Id };
    }
}
