using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class OtherGuestsTests
{
    [Fact]
    public async Task Debians_generic_kernel_reaches_a_shell()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 512UL << 20,
            Cpus = 2,
            Boot = Images.Linux("generic", "console=ttyS0 quiet", "vmlinuz"),
        });
        guest.WaitForShell();
        Assert.EndsWith("-amd64", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.DoesNotContain("cloud", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.Equal("2", guest.Run("nproc"));
        guest.Type("poweroff -f\n");
        Assert.Equal(ExitKind.PowerOff, (await guest.WaitForExit()).Kind);
    }

    [Theory]
    [InlineData("memtest86+x64.bin")]
    [InlineData("memtest86+ia32.bin")]
    public async Task Memtest86_shows_its_screen_and_tests_memory(string file)
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 64UL << 20,
            Display = new DisplaySpec(640, 480),
            Boot = new BootSpec { Kernel = Images.File("memtest", file), CommandLine = "console=ttyS0,115200" },
        });
        // It writes the screen to the serial line as a terminal shows it: the title, then how far the tests have come.
        guest.WaitFor("Memtest86+");
        guest.WaitFor("Pattern");
        for (int i = 0; i < 3000 && !IsTesting(guest); i++)
        {
            await Task.Delay(100);
        }

        Assert.True(IsTesting(guest), "No test began.");
        Assert.Equal(MachineState.Running, guest.Machine.State);
    }

    /// <summary>The screen's left half, "CPU:" line, tells a state once tests run; a blue screen alone is not enough.</summary>
    private static bool IsTesting(GuestSession guest) =>
        guest.Log.Contains("Test #", StringComparison.Ordinal) && guest.Log.Contains("Testing", StringComparison.Ordinal);
}
