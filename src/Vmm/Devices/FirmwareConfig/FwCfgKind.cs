using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.FirmwareConfig;

[DeviceKind("firmware.fw-cfg", "where guest firmware reads what the machine is made of")]
internal sealed class FwCfgKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Ports(FwCfg.Port, FwCfg.PortCount)];

    public static IDevice Create(DeviceSite site, NoSettings settings) => new FwCfg(site.Dma, new FwCfgItems()) { Name = site.Id };
}
