using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Chipset.IntervalTimer;
using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Chipset.LegacyInterrupts;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Chipset;

public sealed class LegacyReplacementTests
{
    [Fact]
    public void The_hpet_takes_the_timer_interrupt_over_and_gives_it_back()
    {
        var timers = new ManualTimers();
        using var router = new SoftInterruptRouter(timers);
        var bus = new SystemBus();
        using var tree = Build(bus, router, timers);
        var owner = new ApicBench.Owner(timers.Clock);
        using var apic = new LocalApic(router.Apics, 0, true, timers, owner);
        apic.WriteMmio(0xf0, 4, 0x1ff);
        bus.WriteMmio(new GuestPhysicalAddress(0xfec0_0000), 4, 0x14);
        bus.WriteMmio(new GuestPhysicalAddress(0xfec0_0010), 4, 0x30);
        bus.WritePort(0x21, 1, 0xff);
        bus.WritePort(0x43, 1, 0x34);
        bus.WritePort(0x40, 1, 0xa9);
        bus.WritePort(0x40, 1, 0x04);
        timers.Advance(2_000_000);
        Assert.Equal(0x30, apic.Acknowledge());
        apic.WriteMmio(0xb0, 4, 0);

        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0010), 4, 3);
        timers.Advance(10_000_000);
        Assert.Equal(-1, apic.Acknowledge());
        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0100), 4, 0x4c);
        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0108), 8, 1_000_000);
        timers.Advance(15_000_000);
        Assert.Equal(0x30, apic.Acknowledge());
        apic.WriteMmio(0xb0, 4, 0);

        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0010), 4, 0);
        timers.Advance(2_000_000);
        Assert.Equal(0x30, apic.Acknowledge());
    }

    private static DeviceTree Build(SystemBus bus, SoftInterruptRouter router, ManualTimers timers)
    {
        InterruptLine[] lines = [.. Enumerable.Range(0, 24).Select(gsi => new InterruptLine(router, gsi))];
        var tree = new DeviceTree(new BusConnector(bus));
        tree.Add(new IoApicWindow(router.IoApic));
        tree.Add(new PicPorts(router.Pics));
        tree.Add(new PitPorts(router.Pit));
        tree.Add(new Hpet(timers, gsi => lines[gsi], replaced => router.Pit.Disconnected = replaced));
        tree.PowerUp();
        tree.Start();
        return tree;
    }
}
