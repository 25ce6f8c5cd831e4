using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>The screen, keyboard and serial port of a running Linux, in the browser.</summary>
public sealed class ConsoleTests(Site site) : LinuxTests(site)
{
    [Fact]
    public async Task The_overview_tells_what_the_guest_took_of_the_paravirtual_interfaces()
    {
        await using var window = await Site.OpenAsync();
        await window.GoAsync($"/vms/{Machine.Id}");
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Overview" }).ClickAsync();
        var card = window.Page.Locator("section.card").Filter(new() { Has = window.Heading("Enlightenments") });
        await Expect(card).ToContainTextAsync("kvm-clock");
        await Expect(card).ToContainTextAsync("Taken.");
        await Expect(card).ToContainTextAsync("Not offered.");
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task What_is_typed_on_the_canvas_is_seen_there_and_carried_out()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        await ConsoleWindow.UntilAsync(async () => (await window.LookAsync())[1] > 1000, "nothing is painted");
        string mark = Rest.NewName("typed");
        await window.TypeAsync($"echo {mark} ");
        int[] before = await window.LookAsync();
        await window.TypeAsync("x");
        await ConsoleWindow.UntilAsync(async () => (await window.LookAsync())[0] != before[0], "a typed letter is not seen");
        await window.Page.Keyboard.PressAsync("Backspace");
        await window.TypeAsync("$(uname -sm) > /dev/ttyS0\n");
        await Machine.UntilSerialAsync(text => text.Contains($"{mark} Linux x86_64", StringComparison.Ordinal));
        await window.Button("Statistics").ClickAsync();
        await Expect(window.Page.Locator("[data-statistics]")).ToContainTextAsync("Latency");
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task Pasted_text_arrives_exactly_with_every_printable_character()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        string all = string.Concat(Enumerable.Range(' ', '~' - ' ' + 1).Select(code => (char)code)).Trim();
        string mark = Rest.NewName("paste");
        await window.PasteAsync($"cat > /dev/ttyS0\n{mark}:{all}\n");
        await Machine.UntilSerialAsync(text => text.Contains($"{mark}:{all}\r\n", StringComparison.Ordinal));
        await window.Page.Locator("#screen").FocusAsync();
        await window.Page.Keyboard.PressAsync("Control+d");
    }

    [Fact]
    public async Task A_second_viewer_sees_the_same_and_may_take_control()
    {
        await using var first = await Site.OpenConsoleAsync(Machine);
        await using var second = await Site.OpenAsync();
        await second.GoAsync($"/vms/{Machine.Id}/console");
        await Expect(first.Page.Locator("[data-viewers='2']")).ToBeVisibleAsync();
        await Expect(second.Page.Locator("[data-control=other]")).ToBeVisibleAsync();
        // The cursor blinks: sooner or later both show the same.
        int[] one = [], other = [];
        await ConsoleWindow.UntilAsync(
            async () => (one = await first.LookAsync()) is [var hash, > 1000] && (other = await second.LookAsync())[0] == hash,
            () => $"the two screens differ: hash and lit pixels are {string.Join(' ', one)}, and {string.Join(' ', other)}");
        await second.Page.GetByRole(AriaRole.Button, new() { Name = "2 viewers" }).ClickAsync();
        await second.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Take control" }).ClickAsync();
        await Expect(second.Page.Locator("[data-control=mine]")).ToBeVisibleAsync();
        await Expect(first.Page.Locator("[data-control=other]")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task Who_may_only_look_cannot_type()
    {
        string mark = Rest.NewName("forbidden");
        await using (var viewer = await Site.OpenAsAsync("viewer"))
        {
            await viewer.GoAsync($"/vms/{Machine.Id}/console");
            await Expect(viewer.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
            await Expect(viewer.Page.Locator("[data-control=other]")).ToHaveTextAsync("View only");
            await Expect(viewer.Button("Paste")).ToBeDisabledAsync();
            await viewer.Page.Locator("#screen").FocusAsync();
            await viewer.TypeAsync($"echo {mark} > /dev/ttyS0\n");
        }

        await using var window = await Site.OpenConsoleAsync(Machine);
        string later = Rest.NewName("allowed");
        await window.TypeAsync($"echo {later} > /dev/ttyS0\n");
        string text = await Machine.UntilSerialAsync(printed => printed.Contains(later, StringComparison.Ordinal));
        Assert.DoesNotContain(mark, text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_serial_terminal_types_and_shows()
    {
        await using var window = await Site.OpenAsync();
        await window.GoAsync($"/vms/{Machine.Id}/serial");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        string mark = Rest.NewName("serial");
        await window.Page.Locator("#terminal textarea").FocusAsync();
        await window.Page.Keyboard.TypeAsync($"echo {mark}-$((6*7))\n");
        await ConsoleWindow.UntilAsync(
            async () => (await window.Page.EvaluateAsync<string>("() => document.getElementById('terminal').terminal.text()")).Contains(
                $"{mark}-42", StringComparison.Ordinal),
            "the terminal does not show the answer");
    }

    [Fact]
    public async Task The_console_comes_back_after_a_restart_of_the_service()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        await window.LoadedAnewAsync(Site.RestartAsync);
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeVisibleAsync();
        await ConsoleWindow.UntilAsync(async () => (await window.LookAsync())[1] > 1000, "nothing is painted after the restart");
        string mark = Rest.NewName("again");
        await window.Page.Locator("#screen").FocusAsync();
        await window.TypeAsync($"echo {mark} > /dev/ttyS0\n");
        await Machine.UntilSerialAsync(text => text.Contains(mark, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Ctrl_Alt_Del_from_the_menu_reboots()
    {
        int boots = Count(await Machine.SerialAsync());
        await using var window = await Site.OpenConsoleAsync(Machine);
        await window.Page.GetByRole(AriaRole.Button, new() { Name = "Keys" }).ClickAsync();
        await window.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Ctrl-Alt-Del" }).ClickAsync();
        await Machine.UntilSerialAsync(text => Count(text) > boots);
        await Machine.ScreenReadyAsync();
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();

        static int Count(string text) => text.Split("ready on /dev/ttyS0").Length - 1;
    }
}
