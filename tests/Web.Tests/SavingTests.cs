using Microsoft.Playwright;
using WebVm.Api.Tests;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Machines whose state takes a while to write, and machines whose monitor keeps silent.</summary>
public sealed class SavingTests(Site site)
{
    private const int Minute = 60_000;

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

        await HoldAsync(page.Page.Locator("[data-saving] progress[value]"), () => page.ChooseAsync($"Power of {machine.Name}", "Save to disk"));
        await Expect(page.Page.Locator("[data-saving]")).ToContainTextAsync("Saving to disk: ");
        await Expect(row.Locator("[data-state=saving]")).ToBeVisibleAsync();
        await Expect(page.Page.Locator(".operation progress[value]")).ToBeVisibleAsync();
        await Expect(page.Page.GetByText("Writing the machine's state")).ToBeVisibleAsync();
        await Expect(row.Locator("progress[value]")).ToBeVisibleAsync();
        await row.GetByRole(AriaRole.Button, new() { Name = $"Stop saving {machine.Name}" }).ClickAsync();
        await Expect(page.Page.Locator(".operation.cancelled")).ToContainTextAsync("Change power");
        await site.Service.SignalMonitorsAsync("CONT");
        await Expect(row.Locator("[data-state=running]")).ToBeVisibleAsync(new() { Timeout = Minute });
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
        await HoldAsync(snapshot.Locator("progress[value]"), () => dialog.GetByRole(AriaRole.Button, new() { Name = "Take" }).ClickAsync());
        await snapshot.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await Expect(snapshot).ToHaveCountAsync(0, new() { Timeout = Minute });
        await site.Service.SignalMonitorsAsync("CONT");
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
                await Expect(warning).ToContainTextAsync("The monitor does not answer.", new() { Timeout = Minute });
            }
        }
        finally
        {
            await site.Service.SignalMonitorsAsync("CONT");
        }

        foreach (var warning in warnings)
        {
            await Expect(warning).ToHaveCountAsync(0, new() { Timeout = Minute });
        }

        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    /// <summary>A machine whose memory takes seconds to write.</summary>
    private async Task<BootedMachine> LargeMachineAsync()
    {
        var machine = await BootedMachine.BootAsync(site.Api, mebibytes: 3072);
        await machine.RunAsync("cd /tmp; dd if=/dev/urandom of=a bs=1M count=8 2>/dev/null; for i in 1 2 3 4 5 6 7; do cat a a > b; mv b a; done; ls -l a");
        return machine;
    }

    /// <summary>Does something, and stops the monitors in the middle of it.</summary>
    private async Task HoldAsync(ILocator middle, Func<Task> act)
    {
        await act();
        await middle.WaitForAsync();
        await site.Service.SignalMonitorsAsync("STOP");
    }
}
