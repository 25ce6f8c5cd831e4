using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Chipset.LegacyInterrupts;

[DeviceKind("interrupts.8259", "the pair of interrupt controllers of ISA")]
internal sealed class PicKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
        [Claim.Ports(
            PicPorts.Primary, PicPorts.PortCount), Claim.Ports(PicPorts.Secondary, PicPorts.PortCount),
            Claim.Ports(PicPorts.Trigger, PicPorts.PortCount)];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new PicPorts(site.Part<ICpuEngine>().Chips?.Pics) { Name = site.Id };
}
