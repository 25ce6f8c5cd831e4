using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Going back with a running Linux.</summary>
public sealed class SnapshotTests(Site site) : LinuxTests(site)
{
    [Fact]
    public async Task A_running_guest_goes_back_to_a_snapshot_and_goes_on_from_there()
    {
        string name = Rest.NewName("snapshot");
        await using var window = await Site.OpenAsync();
        await Machine.RunAsync("echo before > /tmp/state");
        await window.GoAsync($"/vms/{Machine.Id}/snapshots");
        await window.Button("Take snapshot").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("Name").FillAsync(name);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Take" }).ClickAsync();
        var snapshot = window.Page.Locator($"[data-snapshot={name}]");
        await Expect(snapshot).ToContainTextAsync("with memory");

        await Machine.RunAsync("echo after > /tmp/state");
        await snapshot.GetByRole(AriaRole.Button, new() { Name = "Restore" }).ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Restore" }).ClickAsync();
        await Expect(window.Page.GetByText("is back at")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-state=running]")).ToBeVisibleAsync();
        Assert.Contains("before", await Machine.RunAsync("cat /tmp/state"), StringComparison.Ordinal);

        await snapshot.GetByRole(AriaRole.Button, new() { Name = $"Delete snapshot {name}" }).ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(snapshot).ToHaveCountAsync(0);
    }
}
