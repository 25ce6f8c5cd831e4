using System.Globalization;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What remains in memory of screens and serial lines that are in motion for long.</summary>
public sealed class EnduranceTests(Site site, ITestOutputHelper output)
{
    private const int Minutes = 16;
    private const double Mebibyte = 1 << 20;

    // By then the service has compiled what it needs, the terminal's scrollback is full, and the journal has its size.
    private const int Settled = 5;

    // The guest types nothing by itself: what is in motion is one of its outputs alone.
    private const string OnScreen = "(while true; do dmesg; done > /dev/tty1) &\n";
    private const string OnSerial = "while true; do dmesg; done\n";

    [Fact(Explicit = true)]
    public async Task A_quarter_of_an_hour_of_motion_leaves_nothing_in_memory()
    {
        var (screenGuest, screenMonitor) = await BootAsync();
        var (serialGuest, serialMonitor) = await BootAsync();
        await using var screen = await site.OpenConsoleAsync(screenGuest);
        await using var serial = await site.OpenAsync();
        await serial.GoAsync($"/vms/{serialGuest.Id}/serial");
        await Expect(serial.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await TypeAsync(screenGuest, OnScreen);
        await TypeAsync(serialGuest, OnSerial);
        var (screenHeap, serialHeap) = (await HeapOfAsync(screen), await HeapOfAsync(serial));

        List<double[]> samples = [];
        output.WriteLine("MiB      service  (resident)  screen's monitor  serial's monitor  screen's page  serial's page");
        for (int minute = 0; minute <= Minutes; minute++)
        {
            var (resident, own) = HostProcess.Memory(site.Service.ProcessId);
            double[] sample = [own / Mebibyte, resident / Mebibyte, BeyondGuest(
                screenMonitor), BeyondGuest(serialMonitor), await screenHeap(), await serialHeap()];
            samples.Add(sample);
            output.WriteLine(
                string.Create(
                    CultureInfo.InvariantCulture, $"{minute,3} min  {sample[0],7:f1}  {sample[1],10:f1}  {sample[2],16:f1}  {sample[3],16:f1}  {sample[4],13:f2}  {sample[5],13:f2}"));
            if (minute < Minutes)
            {
                await Task.Delay(TimeSpan.FromMinutes(1), Rest.Cancellation);
                await UntilBothMoveAsync(screen, serial);
            }
        }

        // A leak of a single frame in a hundred would be more.
        double[] allowed = [16, 16, 6, 6, 2, 2];
        for (int i = 0; i < allowed.Length; i++)
        {
            double early = samples.Skip(Settled).Take(3).Max(sample => sample[i]);
            double late = samples.TakeLast(3).Min(sample => sample[i]);
            Assert.True(late - early < allowed[i], $"Column {i + 1} grew from {early:f1} to {late:f1} MiB.");
        }
    }

    private async Task<(BootedMachine Machine, int Monitor)> BootAsync()
    {
        int[] before = site.Service.Monitors();
        var machine = await BootedMachine.BootAsync(site.Api);
        return (machine, site.Service.Monitors().Except(before).Single());
    }

    /// <summary>Both outputs are really shown, to the end.</summary>
    private static async Task UntilBothMoveAsync(Window screen, Window serial)
    {
        int seen = (await screen.LookAsync())[0];
        await ConsoleWindow.UntilAsync(async () => (await screen.LookAsync())[0] != seen, "The screen does not move any more.");
        var terminal = serial.Page.Locator("#terminal");
        const string Offset = "element => element.terminal.offset";
        long read = await terminal.EvaluateAsync<long>(Offset);
        await ConsoleWindow.UntilAsync(
            async () => await terminal.EvaluateAsync<long>(Offset) > read, "The terminal does not move any more.");
    }

    private async Task TypeAsync(BootedMachine machine, string text) =>
        (await site.Api.PostAsync(
            $"/api/v1/vms/{machine.Id}/serial", new StringContent(text), Rest.Cancellation)).EnsureSuccessStatusCode();

    private static double BeyondGuest(int process) =>
        (HostProcess.Memory(process).Private - HostProcess.Memory(process, "memfd:guest-").Private) / Mebibyte;

    /// <summary>Mebibytes that a page's scripts still refer to.</summary>
    private static async Task<Func<Task<double>>> HeapOfAsync(Window window)
    {
        var session = await window.Page.Context.NewCDPSessionAsync(window.Page);
        await session.SendAsync("Performance.enable");
        return async () =>
        {
            await session.SendAsync("HeapProfiler.collectGarbage");
            var metrics = (await session.SendAsync("Performance.getMetrics"))!.Value.GetProperty("metrics");
            return metrics.EnumerateArray().Single(metric => metric.GetProperty("name").GetString() == "JSHeapUsedSize")
                .GetProperty("value")
                .GetDouble() / Mebibyte;
        };
    }
}
