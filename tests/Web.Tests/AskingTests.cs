using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What would be lost is asked about first: a guest's work, and what was entered.</summary>
public sealed class AskingTests(Site site)
{
    [Theory]
    [InlineData("Switch off", "off")]
    [InlineData("Reset", "running")]
    public async Task Switching_off_and_resetting_ask_first(string item, string state)
    {
        string name = Rest.NewName("asked");
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), name));
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/overview");
        await window.ChooseAsync($"Power of {name}", item);
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await Expect(dialog).ToContainTextAsync("has not written to disk is lost");
        Assert.Empty(await Inspection.ViolationsAsync(window));
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await Expect(dialog).ToHaveCountAsync(0);
        string requests = $"/api/v1/operations?vm={vm["id"]}";
        var before = (await site.Api.SendAsync(HttpMethod.Get, requests)).Body!["items"]!.AsArray();
        Assert.Single(before);
        await window.ChooseAsync($"Power of {name}", item);
        await dialog.GetByRole(AriaRole.Button, new() { Name = item }).ClickAsync();
        await Expect(dialog).ToHaveCountAsync(0);
        await Expect(window.Page.Locator($".machine-head [data-state={state}]")).ToBeVisibleAsync();
        var after = (await site.Api.SendAsync(HttpMethod.Get, requests)).Body!["items"]!.AsArray();
        Assert.Equal(2, after.Count);
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    [Fact]
    public async Task Deletion_of_several_machines_names_those_that_run_and_a_choice_of_some_shows_as_one_of_some()
    {
        string prefix = Rest.NewName("doomed");
        var kernel = await IdleGuest.UploadAsync(site.Api);
        var running = await site.Api.CreateVmAsync(IdleGuest.Settings(kernel, $"{prefix}-up"));
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{running["id"]}/power?wait=60", new { action = "on" });
        await site.Api.CreateVmAsync(new { name = $"{prefix}-off" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/?q={prefix}");
        var all = window.Page.GetByLabel("Select all");
        await window.Page.GetByLabel($"Select {prefix}-off").CheckAsync();
        await Expect(all).ToBeCheckedAsync(new() { Indeterminate = true });
        await window.Page.GetByLabel($"Select {prefix}-up").CheckAsync();
        await Expect(all).ToBeCheckedAsync();
        await all.UncheckAsync();
        await Expect(all).ToBeCheckedAsync(new() { Checked = false });
        await all.CheckAsync();
        await window.Button("Delete").ClickAsync();
        await Expect(window.Page.Locator("[data-running]")).ToHaveTextAsync($" {prefix}-up is running and is switched off first.");
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(window.Page.GetByLabel($"Select {prefix}-up")).ToHaveCountAsync(0);
        await Expect(window.Page.GetByLabel($"Select {prefix}-off")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task Settings_that_are_not_saved_are_asked_about_before_they_are_lost()
    {
        string name = Rest.NewName("unsaved");
        var vm = await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await Expect(window.Page.GetByText("Everything is saved")).ToBeVisibleAsync();
        // While one types nothing is said to be saved.
        await window.Page.GetByLabel("Description").PressSequentiallyAsync("x");
        await Expect(window.Page.GetByText("Unsaved changes")).ToBeVisibleAsync();
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Overview" }).ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await Expect(dialog).ToContainTextAsync("not saved yet");
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await Expect(window.Page.GetByLabel("Description")).ToHaveValueAsync("x");

        // The browser asks itself when the page is to be closed or loaded anew.
        var asked = new TaskCompletionSource<string>();
        window.Page.Dialog += async (_, question) =>
        {
            asked.TrySetResult(question.Type);
            await question.DismissAsync();
        };
        await window.Page.EvaluateAsync("() => { setTimeout(() => location.reload()); }");
        Assert.Equal("beforeunload", await asked.Task.WaitAsync(Rest.Patience, Rest.Cancellation));

        await window.Button("Save changes").ClickAsync();
        await Expect(window.Page.GetByText("Everything is saved")).ToBeVisibleAsync();
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Overview" }).ClickAsync();
        await Expect(window.Heading("Power")).ToBeVisibleAsync();
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Settings" }).ClickAsync();
        await window.Page.GetByLabel("Description").FillAsync("y");
        await window.Page.GoBackAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Leave" }).ClickAsync();
        await Expect(window.Heading("Power")).ToBeVisibleAsync();
        Assert.Equal("x", (string?)(await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vm["id"]}")).Body!["description"]);
    }

    [Fact]
    public async Task A_new_machine_that_is_entered_is_asked_about_and_one_that_is_only_suggested_is_not()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        await window.Page.Locator("a.back").ClickAsync();
        await Expect(window.Heading("Machines")).ToBeVisibleAsync();
        await window.GoAsync("/create");
        await window.Page.GetByLabel("Name", new() { Exact = true }).FillAsync(Rest.NewName("entered"));
        await window.Page.Locator("a.back").ClickAsync();
        await Expect(window.Page.GetByRole(AriaRole.Dialog)).ToContainTextAsync("not created yet");
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Leave" }).ClickAsync();
        await Expect(window.Heading("Machines")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task What_is_said_of_a_field_goes_when_the_field_changes()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        var name = window.Page.GetByLabel("Name", new() { Exact = true });
        await name.FillAsync("not a name");
        await window.Button("Create").ClickAsync();
        await Expect(window.Page.Locator(".field-error")).ToHaveCountAsync(1);
        await Expect(name).ToHaveAttributeAsync("aria-invalid", "true");
        await name.FillAsync(Rest.NewName("right"));
        await Expect(window.Page.Locator(".field-error")).ToHaveCountAsync(0);
        await Expect(name).ToHaveAttributeAsync("aria-invalid", "false");
        // Said again, of what stands there then.
        await name.FillAsync("no name either");
        await window.Button("Create").ClickAsync();
        await Expect(window.Page.Locator(".field-error")).ToHaveCountAsync(1);
    }
}
