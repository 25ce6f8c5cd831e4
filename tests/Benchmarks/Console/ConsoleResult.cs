using System.Text.Json;
using Microsoft.Playwright;

namespace WebVm.Benchmarks.Console;

/// <summary>What showing a <see cref="GuestWork"/> took.</summary>
/// <param name="Seconds">Until the guest had written everything.</param>
/// <param name="Fps">Frames painted a second, from the first to the last.</param>
/// <param name="HostCpu">Seconds of processor time beside guest code and browser.</param>
internal sealed record WorkResult(
    double Seconds, double Frames, double Fps, double Bytes, double HostCpu, double GuestCpu, double BrowserCpu, string Screen);

/// <summary>All that is measured of one side: one guest, one browser of its own.</summary>
/// <param name="Unwatched">Seconds that the first work takes the guest while nobody looks.</param>
internal sealed record ConsoleResult(double Unwatched, IReadOnlyList<WorkResult> Works, Samples Latencies)
{
    // The container of builds has no user namespaces and a small /dev/shm.
    private static readonly string[] BrowserArguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
    private const string Chromium = "/usr/bin/chromium";

    private const int Keys = 100;
    // What opening a page takes is not what showing a screen takes.
    private const int PageOpensMilliseconds = 5000;
    private const double QuietMilliseconds = 400;
    private const int LongestWaitMilliseconds = 5000;

    public static async Task<ConsoleResult> MeasureAsync(IConsoleSide side)
    {
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = BrowserArguments });
        await using var context = await browser.NewContextAsync(new() { ViewportSize = new() { Width = 1440, Height = 900 } });
        await context.AddInitScriptAsync(scriptPath: Path.Combine(AppContext.BaseDirectory, "probe.js"));
        var page = await context.NewPageAsync();
        foreach (string command in ConsoleGuest.Preparation)
        {
            await side.Shell.RunAsync(command);
        }

        double unwatched = await side.Shell.RunAsync(ConsoleGuest.Works[0].Command);
        await side.ShowAsync(page);
        await Task.Delay(PageOpensMilliseconds);

        var works = new List<WorkResult>();
        foreach (var work in ConsoleGuest.Works)
        {
            works.Add(await MeasureAsync(side, page, work));
        }

        return new ConsoleResult(unwatched, works, await TypeAsync(side, page));
    }

    private static async Task<WorkResult> MeasureAsync(IConsoleSide side, IPage page, GuestWork work)
    {
        await side.Shell.RunAsync("clear > /dev/tty1");
        await SettleAsync(page);
        int[] browser = HostProcess.Descendants(Environment.ProcessId, "chromium");
        await page.EvaluateAsync("probe.reset()");
        var before = side.CpuSeconds();
        double browserBefore = browser.Sum(HostProcess.CpuSeconds);
        double seconds = await side.Shell.RunAsync(work.Command);
        await SettleAsync(page);
        var after = side.CpuSeconds();
        double browserCpu = browser.Sum(HostProcess.CpuSeconds) - browserBefore;
        var look = await LookAsync(page);
        double guest = after.Guest - before.Guest;
        return new WorkResult(
            seconds, look.Frames, look.Frames > 1 ? (look.Frames - 1) * 1000 / look.Milliseconds : look.Frames, look.Bytes,
            after.All - before.All - guest, guest, browserCpu, await page.EvaluateAsync<string>("probe.screen()"));
    }

    /// <summary>
    /// Letters and backspaces at the shell's prompt on the screen: milliseconds from each key to the change that it makes.
    /// </summary>
    private static async Task<Samples> TypeAsync(IConsoleSide side, IPage page)
    {
        await page.Keyboard.PressAsync("Control+l");
        await SettleAsync(page);
        await page.EvaluateAsync("probe.watchKeys()");
        var random = new Random(1);
        for (int key = 0; key < Keys; key++)
        {
            await page.Keyboard.PressAsync(key % 2 == 0 ? "x" : "Backspace");
            await page.WaitForFunctionAsync("() => probe.answered()", null, new() { Timeout = LongestWaitMilliseconds });
            // Not in step with anybody's timers.
            await Task.Delay(random.Next(60, 120));
        }

        return new Samples(await page.EvaluateAsync<double[]>("probe.latencies()"));
    }

    /// <summary>Waits until nothing has been painted for a while.</summary>
    private static async Task SettleAsync(IPage page)
    {
        await Task.Delay((int)QuietMilliseconds);
        for (int waited = 0; waited < LongestWaitMilliseconds && (await LookAsync(page)).Idle < QuietMilliseconds; waited += 50)
        {
            await Task.Delay(50);
        }
    }

    private static async Task<Look> LookAsync(IPage page) =>
        (await page.EvaluateAsync("probe.look()"))!.Value.Deserialize<Look>(JsonSerializerOptions.Web)!;

    private sealed record Look(double Frames, double Bytes, double Milliseconds, double Idle);
}
