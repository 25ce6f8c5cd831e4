using Microsoft.Playwright;
using Xunit;

namespace WebVm.Web.Tests;

/// <summary>The mouse, its wheel and fingers as the packets that a guest's PS/2 mouse with a wheel sends.</summary>
public sealed class PointerTests(Site site)
{
    private static readonly Packet LeftDown = new(1, 0, 0, 0);
    private static readonly Packet RightDown = new(2, 0, 0, 0);
    private static readonly Packet Up = new(0, 0, 0, 0);

    [Fact]
    public async Task The_guests_mouse_moves_clicks_and_turns_its_wheel()
    {
        var machine = await site.MouseAsync();
        await using var window = await site.OpenConsoleAsync(machine);
        var screen = (await window.Page.Locator("#screen").BoundingBoxAsync())!;
        var mouse = window.Page.Mouse;
        await machine.MouseAsync();
        await mouse.ClickAsync(screen.X + 100, screen.Y + 100);
        await window.Page.WaitForFunctionAsync("() => document.pointerLockElement?.id === 'screen'");
        // What the click that captured the mouse sent, if anything, comes before this.
        await mouse.WheelAsync(0, 100);
        await PacketsAsync(machine, seen => seen.Any(packet => packet.Wheel == 1));

        await mouse.MoveAsync(screen.X + 120, screen.Y + 130);
        Assert.Equal([new(0, 20, 30, 0)], await PacketsAsync(machine, seen => seen.Count > 0));
        await mouse.DownAsync(new() { Button = MouseButton.Right });
        Assert.Equal([RightDown], await PacketsAsync(machine, seen => seen.Count > 0));
        await mouse.UpAsync(new() { Button = MouseButton.Right });
        Assert.Equal([Up], await PacketsAsync(machine, seen => seen.Count > 0));
        await mouse.WheelAsync(0, 100);
        Assert.Equal([new(0, 0, 0, 1)], await PacketsAsync(machine, seen => seen.Count > 0));
        await mouse.WheelAsync(0, -100);
        Assert.Equal([new(0, 0, 0, -1)], await PacketsAsync(machine, seen => seen.Count > 0));

        // The side buttons are the guest's too: the browser stays where it is.
        string address = window.Page.Url;
        var session = await window.Page.Context.NewCDPSessionAsync(window.Page);
        foreach (var (button, bit) in new[] { ("back", 8), ("forward", 16) })
        {
            foreach (var (type, down) in new[] { ("mousePressed", bit), ("mouseReleased", 0) })
            {
                await session.SendAsync(
                    "Input.dispatchMouseEvent", new() { ["type"] = type, ["x"] = screen.X
                        + 120, ["y"] = screen.Y + 130, ["button"] = button, ["buttons"] = down, ["clickCount"] = 1 });
                Assert.Equal([new(down, 0, 0, 0)], await PacketsAsync(machine, seen => seen.Count > 0));
            }
        }

        Assert.Equal(address, window.Page.Url);
    }

    [Fact]
    public async Task Fingers_move_tap_scroll_and_drag()
    {
        var machine = await site.MouseAsync();
        await using var window = await site.OpenConsoleAsync(machine, Handheld.Phone);
        var screen = (await window.Page.Locator("#screen").BoundingBoxAsync())!;
        var (x, y) = (screen.X + 100, screen.Y + 80);
        var fingers = await Fingers.OnAsync(window);
        await machine.MouseAsync();

        await Fingers.AllAsync(fingers.DownAsync((x, y)), fingers.UpAsync());
        Assert.Equal([LeftDown, Up], await PacketsAsync(machine, seen => seen.Count > 1));

        await Fingers.AllAsync(fingers.DownAsync((x, y), (x + 60, y)), fingers.UpAsync());
        Assert.Equal([RightDown, Up], await PacketsAsync(machine, seen => seen.Count > 1));

        await Fingers.AllAsync(
            fingers.DownAsync((x, y)), fingers.MoveAsync((x + 40, y + 30)), fingers.MoveAsync((x + 60, y + 50)), fingers.UpAsync());
        Assert.All(await PacketsAsync(machine, seen => Sum(seen) == (60, 50, 0)), packet => Assert.Equal(0, packet.Buttons));

        // Contents follow the fingers: down is back.
        await Fingers.AllAsync(fingers.DownAsync((x, y), (x + 60, y)), fingers.MoveAsync((x, y + 48), (x + 60, y + 48)), fingers.UpAsync());
        Assert.All(await PacketsAsync(machine, seen => Sum(seen) == (0, 0, -2)), packet => Assert.Equal(0, packet.Buttons));

        await fingers.DownAsync((x, y));
        Assert.Equal([LeftDown], await PacketsAsync(machine, seen => seen.Count > 0));
        await fingers.MoveAsync((x + 50, y + 20));
        Assert.All(await PacketsAsync(machine, seen => Sum(seen) == (50, 20, 0)), packet => Assert.Equal(1, packet.Buttons));
        await fingers.UpAsync();
        Assert.Equal([Up], await PacketsAsync(machine, seen => seen.Count > 0));
    }

    private static (int X, int Y, int Wheel) Sum(List<Packet> packets) =>
        (packets.Sum(packet => packet.X), packets.Sum(packet => packet.Y), packets.Sum(packet => packet.Wheel));

    private static async Task<List<Packet>> PacketsAsync(BootedMachine machine, Func<List<Packet>, bool> there)
    {
        List<byte> bytes = [];
        List<Packet> packets = [];
        await ConsoleWindow.UntilAsync(
            async () =>
            {
                bytes.AddRange(await machine.MouseAsync());
                packets = [.. bytes.Chunk(4).Where(chunk => chunk.Length == 4).Select(Packet.From)];
                return there(packets);
            },
            $"the mouse did not report what was waited for");
        return packets;
    }

    /// <summary>Right, down and towards the user are positive. Buttons: 1 left, 2 right, 4 middle, 8 back, 16 forward.</summary>
    private sealed record Packet(int Buttons, int X, int Y, int Wheel)
    {
        // Buttons with the signs of both movements in bits 4 and 5 and a 1 in bit 3, then right, up, the wheel in four bits with the side
        // buttons above it.
        public static Packet From(byte[] bytes) => new(
            (bytes[0] & 7) | ((bytes[3] & 0x30) >> 1), bytes[1] - ((bytes[0] & 0x10) << 4), ((bytes[0] & 0x20) << 3) - bytes[2],
            (sbyte)(bytes[3] << 4) >> 4);
    }

    /// <summary>Touches as the browser gets them from a screen.</summary>
    private sealed class Fingers(ICDPSession session)
    {
        public static async Task<Fingers> OnAsync(Window window) => new(await window.Page.Context.NewCDPSessionAsync(window.Page));

        /// <summary>
        /// A gesture whose steps are sent one right after the other: a finger that rests on the way means something else.
        /// </summary>
        public static Task AllAsync(params Task[] steps) => Task.WhenAll(steps);

        public Task DownAsync(params (float X, float Y)[] points) => SendAsync("touchStart", points);

        public Task MoveAsync(params (float X, float Y)[] points) => SendAsync("touchMove", points);

        public Task UpAsync() => SendAsync("touchEnd", []);

        private Task SendAsync(string type, (float X, float Y)[] points) => session.SendAsync(
            "Input.dispatchTouchEvent",
            new() { ["type"] = type, ["touchPoints"] = points.Select((point, id) => new { x = point.X, y = point.Y, id }).ToArray() });
    }
}
