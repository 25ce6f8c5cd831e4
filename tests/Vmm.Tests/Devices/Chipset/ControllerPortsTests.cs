using WebVm.Vmm.Devices.Chipset.IntervalTimer;
using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Chipset.LegacyInterrupts;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Chipset;

public sealed class ControllerPortsTests
{
    [Fact]
    public void Chips_answer_at_the_ports_and_addresses_of_a_pc()
    {
        using var router = new SoftInterruptRouter(new ManualTimers());
        var pics = new PicPorts(router.Pics).PortWindows;
        Assert.Equal([0x20, 0xa0, 0x4d0], pics.Select(window => (int)window.First));
        pics[0].Handler.WritePort(1, 1, 0xfb);
        pics[1].Handler.WritePort(1, 1, 0xff);
        pics[2].Handler.WritePort(1, 1, 0x0c);
        Assert.Equal(0xfb, router.Pics.Read(false, 1));
        Assert.Equal(0xffu, pics[1].Handler.ReadPort(1, 1));
        Assert.Equal(0x0c, router.Pics.ReadTrigger(true));

        var pit = new PitPorts(router.Pit).PortWindows;
        Assert.Equal([0x40, 0x61], pit.Select(window => (int)window.First));
        pit[1].Handler.WritePort(0, 1, 3);
        Assert.Equal(3u, pit[1].Handler.ReadPort(0, 1) & 3);
        pit[0].Handler.WritePort(3, 1, 0x34);
        pit[0].Handler.WritePort(3, 1, 0xe2);
        Assert.Equal(0xf4u, pit[0].Handler.ReadPort(0, 1));

        var ioApic = new IoApicWindow(router.IoApic).MmioWindows[0];
        Assert.Equal(0xfec0_0000UL, ioApic.Base.Value);
        ioApic.Handler.WriteMmio(0, 4, 1);
        Assert.Equal(0x0017_0011UL, ioApic.Handler.ReadMmio(0x10, 4));
    }
}
