using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.IoInterrupts;

[DeviceKind("interrupts.ioapic", "I/O APIC")]
internal sealed class IoApicKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Memory(IoApicWindow.Base, IoApic.WindowSize)];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new IoApicWindow(site.Part<ICpuEngine>().Chips?.IoApic) { Name = site.Id };
}
