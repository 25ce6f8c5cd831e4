using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What a console and a terminal do while nothing comes over their link, although it is not closed.</summary>
public sealed class SilenceTests(Site site) : LinuxTests(site)
{
    [Fact]
    public async Task A_console_says_that_its_link_is_silent_and_what_is_typed_then_is_never_sent()
    {
        await using var link = new ThrottledLink(Site.Service.Address);
        await using var window = await OpenAsync(link, "console");
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeAttachedAsync();
        await window.Page.Locator("#screen").FocusAsync();
        string typed = Rest.NewName("silent");
        link.Stands = true;
        await Expect(window.Page.Locator("[data-link=silent] .console-link-text")).ToHaveTextAsync("No answer");
        await Expect(Notice(window)).ToContainTextAsync("What is typed now is not sent, now or later.");
        Assert.Contains(
            "grayscale", await window.Page.Locator("#screen").EvaluateAsync<string>("canvas => getComputedStyle(canvas).filter"),
            StringComparison.Ordinal);
        await window.TypeAsync($"echo {typed} > /dev/ttyS0\n");
        await Expect(Notice(window)).ToContainTextAsync("keys were not sent.");
        link.Stands = false;
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        // It is still said: whoever typed did not look up, maybe.
        await Expect(Notice(window)).ToContainTextAsync("keys were not sent.");
        await ArrivesAsync(window, typed);
        await Expect(Notice(window)).ToBeHiddenAsync();
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task Keys_that_were_on_their_way_when_the_link_stood_still_are_not_pressed_when_it_goes_on_and_control_stays()
    {
        await using var link = new ThrottledLink(Site.Service.Address);
        await using var window = await OpenAsync(link, "console");
        await using var other = await Site.OpenAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeAttachedAsync();
        await other.GoAsync($"/vms/{Machine.Id}/console");
        await Expect(other.Page.Locator("[data-viewers='2']")).ToBeVisibleAsync();
        await window.Page.Locator("#screen").FocusAsync();
        string typed = Rest.NewName("delayed");
        link.Stands = true;
        await window.TypeAsync($"echo {typed} > /dev/ttyS0\n");
        await Expect(window.Page.Locator("[data-link=reconnecting]")).ToBeVisibleAsync();
        link.Stands = false;
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeAttachedAsync();
        await Expect(window.Page.Locator("[data-viewers='2']")).ToBeAttachedAsync();
        await ArrivesAsync(window, typed);
    }

    [Fact]
    public async Task A_terminal_says_that_its_link_is_silent_and_what_is_typed_then_is_never_sent()
    {
        await using var link = new ThrottledLink(Site.Service.Address);
        await using var window = await OpenAsync(link, "serial");
        await window.Page.Locator("#terminal textarea").FocusAsync();
        string typed = Rest.NewName("unsent");
        string later = Rest.NewName("later");
        link.Stands = true;
        await Expect(window.Page.Locator("[data-link=silent] .console-link-text")).ToHaveTextAsync("No answer");
        await window.Page.Keyboard.TypeAsync($"echo {typed}\n");
        await Expect(Notice(window)).ToContainTextAsync("keys were not sent.");
        link.Stands = false;
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await window.Page.Keyboard.TypeAsync($"echo {later}-$((6*7))\n");
        string text = await Machine.UntilSerialAsync(printed => printed.Contains($"{later}-42", StringComparison.Ordinal));
        Assert.DoesNotContain(typed, text, StringComparison.Ordinal);
        await Expect(Notice(window)).ToBeHiddenAsync();
    }

    [Theory]
    [InlineData("console")]
    [InlineData("serial")]
    public async Task Nothing_is_thrown_while_the_service_is_out_of_reach(string tab)
    {
        var link = new ThrottledLink(Site.Service.Address);
        await using var window = await OpenAsync(link, tab);
        if (tab == "console")
        {
            await window.Button("Statistics").ClickAsync();
            await Expect(window.Page.Locator("[data-statistics]")).ToBeVisibleAsync();
        }

        await link.DisposeAsync();
        await Expect(window.Page.GetByText("Connection lost")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-reason]")).ToHaveTextAsync("The service does not answer.");
        // In this time the statistics are told, too.
        int attempts = await AttemptsAsync();
        await ConsoleWindow.UntilAsync(async () => await AttemptsAsync() >= attempts + 4, "it does not try again");
        await window.Page.Locator(tab == "console" ? "#screen" : "#terminal textarea").FocusAsync();
        await window.Page.Keyboard.TypeAsync("abc");
        await Expect(Notice(window)).ToContainTextAsync("3 keys were not sent.");
        Assert.Empty(window.Exceptions);

        Task<int> AttemptsAsync() =>
            window.Page.EvaluateAsync<int>(
                "() => performance.getEntriesByType('resource').filter(entry => entry.name.includes('negotiate')).length");
    }

    [Fact]
    public async Task Who_loses_control_is_told_by_whom_and_the_list_names_windows()
    {
        await using var first = await Site.OpenConsoleAsync(Machine);
        await using var second = await Site.OpenAsync();
        await second.GoAsync($"/vms/{Machine.Id}/console");
        await Expect(second.Page.Locator("[data-viewers='2']")).ToBeAttachedAsync();
        await second.Page.GetByRole(AriaRole.Button, new() { Name = "2 viewers" }).ClickAsync();
        await Expect(second.Page.Locator(".viewer")).ToContainTextAsync(["another window", "this window"]);
        // One person in two windows: one of them is in control.
        await Expect(second.Page.Locator(".viewer").Filter(new() { HasText = "in control" })).ToContainTextAsync(["another window"]);
        await second.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Take control" }).ClickAsync();
        await Expect(first.Page.GetByRole(AriaRole.Status).Filter(new() { HasText = $"admin took control of {Machine.Name}" }))
            .ToBeVisibleAsync();
        await Expect(second.Page.Locator(".toast")).ToHaveCountAsync(0);
    }

    private static ILocator Notice(Window window) => window.Page.Locator("[data-link-notice]");

    private async Task<Window> OpenAsync(ThrottledLink link, string tab)
    {
        var window = await Site.OpenAsync(address: link.Address);
        await window.GoAsync($"/vms/{Machine.Id}/{tab}");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        return window;
    }

    /// <summary>What is typed now arrives, and what was typed before did not.</summary>
    private async Task ArrivesAsync(Window window, string before)
    {
        string later = Rest.NewName("later");
        await window.TypeAsync($"echo {later} > /dev/ttyS0\n");
        string text = await Machine.UntilSerialAsync(printed => printed.Contains(later, StringComparison.Ordinal));
        Assert.DoesNotContain(before, text, StringComparison.Ordinal);
    }
}
