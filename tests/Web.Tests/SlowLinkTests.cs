using System.Globalization;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>The screen over a link that carries little: photographs come with loss first, and then without.</summary>
public sealed class SlowLinkTests(Site site) : LinuxTests(site)
{
    /// <summary>1 Mbit/s.</summary>
    private const int SlowBytesPerSecond = 125_000;

    // Waves of parabolas (the guest's awk has no sine) in each colour, with some grain: 64 lines, that are shown all over the screen.
    // The first are there a second earlier: how long they take tells that the link is slow.
    private const string Draw =
        "[ -f /tmp/photo ] || awk 'function w(t) { t %= 2; return t < 1 ? 4 * t * (1 - t) : -4 * (t - 1) * (2 - t) } BEGIN { srand(1); "
        + "for (y = 0; y < 64; y++) for (x = 0; x < 1024; x++) { "
        + "l = 128 + 60 * w(x / 220 + y / 160) + 24 * w(x / 28 + y / 21) + 6 * rand(); "
        + "printf \"%c%c%c%c\", l + 20 * w(x / 280), l, l + 20 * w((x + y) / 190), 1 } }' > /tmp/photo; "
        + "echo 0 > /sys/class/graphics/fbcon/cursor_blink; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat /tmp/photo; [ $i != 1 ] || "
        + "sleep 1; done > /dev/fb0; wc -c < /tmp/photo";

    /// <summary>Counts the pictures with loss.</summary>
    private const string Watch = """
        () => {
          const decode = window.createImageBitmap;
          window.pictures = 0;
          window.createImageBitmap = (source, ...rest) => {
            window.pictures += source.type === 'image/jpeg' ? 1 : 0;
            return decode(source, ...rest);
          };
        }
        """;

    /// <summary>Mean and largest difference of a channel between the canvas and the machine's screenshot.</summary>
    private const string Compare = """
        async (canvas, screenshot) => {
          const image = await createImageBitmap(new Blob([Uint8Array.from(atob(screenshot), c => c.charCodeAt(0))], { type: 'image/png' }));
          const other = new OffscreenCanvas(image.width, image.height).getContext('2d');
          other.drawImage(image, 0, 0);
          const expected = other.getImageData(0, 0, image.width, image.height).data;
          const shown = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          if (shown.length !== expected.length) return [-1, -1];
          let sum = 0, most = 0;
          for (let i = 0; i < shown.length; i++) {
            const difference = Math.abs(shown[i] - expected[i]);
            sum += difference;
            most = Math.max(most, difference);
          }
          return [sum / (shown.length * 3 / 4), most];
        }
        """;

    [Fact]
    public async Task A_photograph_comes_with_loss_first_and_then_to_the_pixel_and_a_viewer_beside_gets_it_without()
    {
        await using var link = new ThrottledLink(Site.Service.Address);
        await using var quick = await Site.OpenConsoleAsync(Machine);
        await using var slow = await Site.OpenAsync(address: link.Address);
        await slow.GoAsync($"/vms/{Machine.Id}/console");
        await Expect(slow.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await slow.Button("Statistics").ClickAsync();
        await ConsoleWindow.UntilAsync(async () => (await slow.LookAsync())[1] > 1000, "nothing is painted");
        await quick.Page.EvaluateAsync(Watch);
        await slow.Page.EvaluateAsync(Watch);

        link.BytesPerSecond = SlowBytesPerSecond;
        string drawn = await Machine.RunAsync(Draw);
        Assert.Contains((64 * 1024 * 4).ToString(CultureInfo.InvariantCulture), drawn, StringComparison.Ordinal);
        await ConsoleWindow.UntilAsync(async () => await PicturesAsync(slow) > 0, "nothing came with loss");

        // The first parts came without loss, while the link was not known to be slow. When the last part is there, much is to be refined.
        await ConsoleWindow.UntilAsync(async () => await ShownAsync(slow) is (> 0 and < 8, > 0), "the photograph is not seen with loss");
        Assert.Equal("0", await LossyTilesAsync(quick));
        await Expect(slow.Page.Locator("[data-lossy]")).ToContainTextAsync("JPEG");

        await ConsoleWindow.UntilAsync(async () => await ShownAsync(slow) is (0, 0), "the photograph does not become what it is");
        await Expect(slow.Page.Locator("[data-lossy]")).ToHaveTextAsync("lossless");
        await ConsoleWindow.UntilAsync(
            async () => await ShownAsync(quick) is (0, 0), "the viewer of a quick link does not see the photograph");
        Assert.Equal(0, await PicturesAsync(quick));
        Assert.Empty(slow.Errors);
        // Other tests look for text on this screen.
        await Machine.RunAsync("(clear; dmesg | tail -n 30) > /dev/tty1; echo 1 > /sys/class/graphics/fbcon/cursor_blink");
    }

    private static Task<int> PicturesAsync(Window window) => window.Page.EvaluateAsync<int>("() => window.pictures");

    private static async Task<string?> LossyTilesAsync(Window window)
    {
        var shown = window.Page.Locator("[data-lossy]");
        return await shown.CountAsync() == 0 ? "0" : await shown.GetAttributeAsync("data-lossy");
    }

    private async Task<(double Mean, double Most)> ShownAsync(Window window)
    {
        byte[] screenshot = await Site.Api.GetByteArrayAsync($"/api/v1/vms/{Machine.Id}/screenshot", Rest.Cancellation);
        double[] difference = await window.Page.Locator("#screen").EvaluateAsync<double[]>(Compare, Convert.ToBase64String(screenshot));
        return (difference[0], difference[1]);
    }
}
