using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Debugging.Exit;

[DeviceKind("debug.exit", "ends the machine with a code that the guest chooses")]
internal sealed class DebugExitKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Ports(DebugExit.Port, DebugExit.PortCount)];

    public static IDevice Create(DeviceSite site, NoSettings settings) => new DebugExit(site.Signals) { Name = site.Id };
}
