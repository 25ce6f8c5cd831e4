using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Linux finds its time and its interrupts by whatever way it is told to: the soft engine's chips one after the other.</summary>
public sealed class TimerTests
{
    [Theory]
    [InlineData(2, false, "lapic=notscdeadline", "LOC", "tsc")]
    [InlineData(2, false, "noapic", "LOC", "tsc")]
    [InlineData(2, true, "clocksource=hpet lapic=notscdeadline", "LOC", "hpet")]
    [InlineData(1, false, "nolapic", "0", "tsc")]
    [InlineData(4, false, "nox2apic", "LOC", "tsc", Explicit = true)]
    [InlineData(2, false, "tsc=unstable clocksource=acpi_pm no-kvmclock", "LOC", "acpi_pm", Explicit = true)]
    [InlineData(2, false, "clocksource=kvm-clock", "LOC", "kvm-clock", Explicit = true)]
    [InlineData(2, false, "nohz=off highres=off", "LOC", "tsc", Explicit = true)]
    public async Task Linux_keeps_time_with(int cpus, bool hpet, string parameters, string interrupt, string clock)
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = cpus,
            Memory = 256 << 20,
            Hpet = hpet,
            Boot = Images.Linux("tiny", $"console=ttyS0 {parameters}"),
        });
        guest.WaitForShell();

        Assert.Equal(clock, guest.Run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"));
        long ticks = Ticks();
        double before = Uptime();
        guest.Run("sleep 1");
        Assert.True(Uptime() - before >= 0.99);
        Assert.True(Ticks() > ticks, $"no interrupt '{interrupt}' came in a second");
        Assert.Equal("0", guest.Run("dmesg | grep -ciE 'rcu.*stall|Marking clocksource|spurious|nobody cared|MP-BIOS|BUG:|soft lockup'"));

        // As seen from outside, guest time goes at the pace of VM time.
        long machineStart = guest.Machine.Time;
        double guestStart = Uptime();
        guest.Run("sleep 2");
        double guestTime = Uptime() - guestStart;
        double machineTime = (guest.Machine.Time - machineStart) / 1e9;
        Assert.True(guestTime <= machineTime + 0.01, $"{guestTime} s in the guest, {machineTime} s of VM time");

        double Uptime() => double.Parse(guest.Run("cut -d' ' -f1 /proc/uptime"), System.Globalization.CultureInfo.InvariantCulture);

        long Ticks() => guest.Run($"grep '^ *{interrupt}:' /proc/interrupts")
            .Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(cpus).Sum(long.Parse);
    }
}
