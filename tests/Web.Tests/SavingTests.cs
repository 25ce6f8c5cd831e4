using System.Diagnostics;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Machines whose state takes a while to write, and machines whose monitor keeps silent.</summary>
public sealed class SavingTests(Site site)
{
    [Fact]
    public async Task A_save_shows_how_far_it_is_and_is_stopped_and_the_guest_goes_on()
    {
        var machine = await LargeMachineAsync();
        await using var list = await site.OpenAsync();
        await list.GoAsync("/");
        await list.Page.GetByLabel("Search machines").FillAsync(machine.Name);
        var row = list.Page.Locator($"[data-vm={machine.Name}]");
        await using var page = await site.OpenAsync();
        await page.GoAsync($"/vms/{machine.Id}/activity");

        try
        {
            await HoldAsync(
                page.Page.Locator("[data-saving] progress[value]"), () => page.ChooseAsync($"Power of {machine.Name}", "Save to disk"));
            await Expect(page.Page.Locator("[data-saving]")).ToContainTextAsync("Saving to disk: ");
            await Expect(row.Locator("[data-state=saving]")).ToBeVisibleAsync();
            await Expect(page.Page.Locator(".operation progress[value]")).ToBeVisibleAsync();
            await Expect(page.Page.GetByText("Writing the machine's state")).ToBeVisibleAsync();
            await Expect(row.Locator("progress[value]")).ToBeVisibleAsync();
            await row.GetByRole(AriaRole.Button, new() { Name = $"Stop saving {machine.Name}" }).ClickAsync();
            await Expect(page.Page.Locator(".operation.cancelled")).ToContainTextAsync("Change power");
        }
        finally
        {
            await site.Service.SignalMonitorsAsync("CONT");
        }

        await Expect(row.Locator("[data-state=running]")).ToBeVisibleAsync();
        await Expect(page.Page.Locator("[data-saving]")).ToHaveCountAsync(0);
        Assert.Contains("42", await machine.RunAsync("echo $((6*7))"), StringComparison.Ordinal);
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{machine.Id}?force=true&wait=60");
    }

    [Fact]
    public async Task A_snapshot_under_way_shows_how_far_it_is_and_is_cancelled()
    {
        var machine = await LargeMachineAsync();
        await using var page = await site.OpenAsync();
        await page.GoAsync($"/vms/{machine.Id}/snapshots");
        string name = Rest.NewName("large");
        var snapshot = page.Page.Locator($"[data-snapshot={name}]");
        await page.Button("Take snapshot").ClickAsync();
        var dialog = page.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("Name").FillAsync(name);
        try
        {
            await HoldAsync(
                snapshot.Locator("progress[value]"), () => dialog.GetByRole(AriaRole.Button, new() { Name = "Take" }).ClickAsync());
            await snapshot.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
            await Expect(snapshot).ToHaveCountAsync(0);
        }
        finally
        {
            await site.Service.SignalMonitorsAsync("CONT");
        }

        Assert.Contains("42", await machine.RunAsync("echo $((6*7))"), StringComparison.Ordinal);
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{machine.Id}?force=true&wait=60");
    }

    [Fact]
    public async Task A_monitor_that_does_not_answer_is_a_warning_until_it_does()
    {
        string name = Rest.NewName("silent");
        var vm = await site.Api.CreateVmAsync(new { name, memory = 256L << 20, engine = "soft" });
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await using var list = await site.OpenAsync();
        await list.GoAsync("/");
        await list.Page.GetByLabel("Search machines").FillAsync(name);
        await using var page = await site.OpenAsync();
        await page.GoAsync($"/vms/{vm["id"]}/overview");
        var warnings = new[] { list, page }.Select(window => window.Page.Locator("[data-warning]")).ToArray();
        await site.Service.SignalMonitorsAsync("STOP");
        try
        {
            foreach (var warning in warnings)
            {
                await Expect(warning).ToContainTextAsync("The monitor does not answer.");
            }
        }
        finally
        {
            await site.Service.SignalMonitorsAsync("CONT");
        }

        foreach (var warning in warnings)
        {
            await Expect(warning).ToHaveCountAsync(0);
        }

        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    /// <summary>A machine with much in its memory.</summary>
    private async Task<BootedMachine> LargeMachineAsync()
    {
        var machine = await BootedMachine.BootAsync(site.Api, mebibytes: 2048);
        await machine.RunAsync(
            "cd /tmp; dd if=/dev/urandom of=a bs=1M count=8 2>/dev/null; for i in 1 2 3 4 5 6; do cat a a > b; mv b a; done; ls -l a");
        return machine;
    }

    /// <summary>
    /// Does something that has a state written, and stops the monitors in the midst of it. They go on by small steps until the page shows
    /// it.
    /// </summary>
    private async Task HoldAsync(ILocator middle, Func<Task> act)
    {
        using var given = CancellationTokenSource.CreateLinkedTokenSource(Rest.Cancellation);
        var held = Task.Run(() => StopOnceBegunAsync(given.Token), given.Token);
        try
        {
            await act();
            await held;
        }
        finally
        {
            await given.CancelAsync();
        }

        long start = Stopwatch.GetTimestamp();
        while (!await IsThereAsync(middle))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Rest.Patience, "The page does not show how far it is.");
            await site.Service.SignalMonitorsAsync("CONT");
            await Task.Delay(20, Rest.Cancellation);
            await site.Service.SignalMonitorsAsync("STOP");
        }
    }

    private async Task StopOnceBegunAsync(CancellationToken cancellation)
    {
        string runs = Path.Combine(site.Service.Data, "run");
        while (Directory.GetDirectories(runs, "state-*", SearchOption.AllDirectories).Length == 0)
        {
            await Task.Delay(1, cancellation);
        }

        await site.Service.SignalMonitorsAsync("STOP");
    }

    /// <summary>Looks for longer than it takes to be told of what was done.</summary>
    private static async Task<bool> IsThereAsync(ILocator sought)
    {
        try
        {
            await sought.WaitForAsync(new() { Timeout = 2000 });
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
