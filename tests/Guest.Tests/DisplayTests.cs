using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Machine.Spec;
using Xunit;
using WebVm.Vmm.Pictures;

namespace WebVm.Guest.Tests;

public sealed class DisplayTests
{
    private static MachineSpec WithDisplay => new()
    {
        Engine = EngineChoice.Soft,
        Memory = 256UL << 20,
        Display = new DisplaySpec(1024, 768),
        Boot = WithKernel("vmlinuz"),
    };

    [Theory]
    [InlineData("vmlinuz")]
    [InlineData("vmlinux")]
    public async Task The_shell_shows_on_the_framebuffer_and_the_keyboard_types_into_it(string kernel)
    {
        await using var guest = await GuestSession.Start(WithDisplay with { Boot = WithKernel(kernel) });
        guest.WaitForShell();
        var framebuffer = guest.Machine.Framebuffer!;
        Assert.Equal(new DisplayMode(1024, 768, 32, 4096, 0), framebuffer.Mode);
        var screen = await Until(
            guest, shot => ConsoleText.Read(shot).Any(line => line.StartsWith("tiny:/root#", StringComparison.Ordinal)));
        Assert.Contains(
            ConsoleText.Read(screen), line => line.StartsWith("WebVm tiny ready on /dev/tty1: Linux", StringComparison.Ordinal));

        const string typed = "echo Seen-$((6*7)) > /dev/ttyS0";
        Assert.Equal(typed.Length + 1, Vmm.Machine.Consoles.Typing.Type(guest.Machine.Keyboard!, typed + "\n"));
        guest.WaitFor("Seen-42");
        var lines = ConsoleText.Read(framebuffer.Capture()!);
        Assert.Contains($"tiny:/root# {typed}", lines);
    }

    [Fact]
    public async Task A_client_of_the_control_socket_shares_the_pixels_and_learns_what_changed()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-guest").FullName;
        try
        {
            await using var guest = await GuestSession.Start(WithDisplay);
            using var server = new ControlServer(guest.Machine, Path.Combine(folder, "control"));
            using var client = (await ControlClient.ConnectAsync(Path.Combine(folder, "control"))).Start();
            guest.WaitForShell();
            using var view = await client.AttachDisplayAsync();
            Assert.Equal(1024, view.Mode!.Value.Width);
            await Until(guest, shot => ConsoleText.Read(shot).Any(line => line.StartsWith("tiny:/root#", StringComparison.Ordinal)));
            await Task.Delay(500);
            ulong before = view.Generation;
            Assert.Equal(2, await client.SendKeysAsync("x", "y"));
            long deadline = Environment.TickCount64 + 180_000;
            while (view.Generation == before && Environment.TickCount64 < deadline)
            {
                await Task.Delay(20);
            }

            int changed = Enumerable.Range(0, view.PageCount).Count(page => view.ChangedSince(page, before));
            Assert.InRange(changed, 1, 64);
            // The cursor blinks, and the guest may still be drawing: both looks are at the same picture.
            await guest.Machine.Pause();
            byte[] png = await client.ScreenshotAsync();
            Assert.Equal("89504E47", Convert.ToHexString(png.AsSpan(0, 4)));
            var shown = ReadThrough(view);
            Assert.Equal(ConsoleText.Read(guest.Machine.Framebuffer!.Capture()!), ConsoleText.Read(shown.Width, shown.Height, shown.Pixel));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static BootSpec WithKernel(string kernel) => Images.Linux("tiny", "console=tty0 console=ttyS0 quiet", kernel);

    private static (int Width, int Height, Func<int, int, bool> Pixel) ReadThrough(DisplayView view)
    {
        var mode = view.Mode!.Value;
        var lines = Enumerable.Range(0, mode.Height).Select(line => view.Line(mode, line).ToArray()).ToArray();
        return (mode.Width, mode.Height, (x, y) => lines[y].AsSpan(x * 4, 3).ContainsAnyExcept((byte)0));
    }

    private static async Task<Screenshot> Until(GuestSession guest, Func<Screenshot, bool> holds)
    {
        for (int i = 0; i < 1800; i++)
        {
            if (guest.Machine.Framebuffer!.Capture() is { } shot && holds(shot))
            {
                return shot;
            }

            await Task.Delay(100);
        }

        Assert.Fail(
            "The screen did not show what was expected: " + string.Join('\n', ConsoleText.Read(guest.Machine.Framebuffer!.Capture()!)));
        throw new InvalidOperationException();
    }
}
