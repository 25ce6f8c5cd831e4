using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Chipset;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Chipset;

public sealed class ChipsetDevicesTests
{
    [Fact]
    public void The_hpet_takes_the_timer_interrupt_over_and_gives_it_back()
    {
        var timers = new ManualTimers();
        using var router = new SoftInterruptRouter(timers);
        var bus = new SystemBus();
        using var tree = Build(bus, router, timers, hpet: true);
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
        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0108), 4, 2_000_000);
        timers.Advance(15_000_000);
        Assert.Equal(0x30, apic.Acknowledge());
        apic.WriteMmio(0xb0, 4, 0);

        bus.WriteMmio(new GuestPhysicalAddress(0xfed0_0010), 4, 0);
        timers.Advance(2_000_000);
        Assert.Equal(0x30, apic.Acknowledge());
    }

    [Fact]
    public void With_controllers_in_the_kernel_only_the_clock_remains()
    {
        var bus = new SystemBus();
        using var tree = Build(bus, new Lines(), new ManualTimers(), hpet: false);
        Assert.Equal(["rtc"], tree.Nodes.Select(node => node.Name));
        bus.WritePort(0x70, 1, 0x0d);
        Assert.Equal(0x80u, bus.ReadPort(0x71, 1));
        Assert.Equal(0xffu, bus.ReadPort(0x40, 1));
    }

    private static DeviceTree Build(SystemBus bus, IInterruptRouter router, ManualTimers timers, bool hpet)
    {
        InterruptLine[] lines = [.. Enumerable.Range(0, 24).Select(gsi => new InterruptLine(router, gsi))];
        var tree = new DeviceTree(new BusConnector(bus));
        ChipsetDevices.Add(tree, router, lines, timers, 512 << 20, 0, hpet);
        tree.PowerUp();
        tree.Start();
        return tree;
    }
}
