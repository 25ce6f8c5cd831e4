using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class LinuxBootTests
{
    [Theory]
    [InlineData(1, "vmlinux")]
    [InlineData(4, "vmlinuz")]
    public async Task Debians_cloud_kernel_reaches_a_shell_and_powers_off(int cpus, string kernel)
    {
        await using var guest = await GuestSession.Start(
            Tiny with { Cpus = cpus, Boot = Images.Linux("tiny", "console=ttyS0 quiet", kernel) });
        guest.WaitForShell();
        Assert.Equal($"{cpus}", guest.Run("nproc"));
        Assert.Equal("/dev/ttyS0", guest.Run("tty"));
        guest.Type("poweroff\n");
        var exit = await guest.WaitForExit();
        Assert.Equal((ExitKind.PowerOff, 0), (exit.Kind, exit.Code));
    }

    [Fact]
    public async Task Reboot_starts_the_kernel_again_and_the_power_button_switches_off()
    {
        await using var guest = await GuestSession.Start(Tiny);
        guest.WaitForShell();
        guest.Type("reboot\n");
        guest.WaitFor("reboot: Restarting system");
        guest.WaitForShell();
        Assert.Contains(guest.Events, happened => happened.Kind == MachineEventKind.Reset);
        guest.WaitForPowerButton();
        await guest.Machine.PressPowerButton();
        Assert.Equal(ExitKind.PowerOff, (await guest.WaitForExit()).Kind);
    }

    [Theory]
    [InlineData("a")]
    [InlineData("k")]
    [InlineData("t")]
    [InlineData("p")]
    public async Task Every_usual_way_of_resetting_a_PC_resets(string way)
    {
        await using var guest = await GuestSession.Start(Tiny with { Boot = Images.Linux("tiny", $"console=ttyS0 quiet reboot={way}") });
        guest.WaitForShell();
        guest.Type("reboot -f\n");
        guest.WaitForShell();
        Assert.Contains(guest.Events, happened => happened.Kind == MachineEventKind.Reset);
    }

    [Fact]
    public async Task Idle_time_costs_the_host_almost_nothing()
    {
        await using var guest = await GuestSession.Start(Tiny);
        guest.WaitForShell();
        guest.Run("sleep 1");
        var before = System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime;
        guest.Run("sleep 5");
        var used = System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime - before;
        // Not a measurement: a vCPU that spins would use all of the five seconds.
        Assert.True(used < TimeSpan.FromSeconds(2), $"An idle guest used {used.TotalSeconds:f2} s of processor time in 5 s.");
    }

    private static MachineSpec Tiny => new()
    {
        Engine = EngineChoice.Soft,
        Memory = 256UL << 20,
        Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
    };
}
