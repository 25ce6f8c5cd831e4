using System.Diagnostics;
using Microsoft.Playwright;
using WebVm.Api.Tests;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>The screen, keyboard and serial port of a running Linux, in the browser.</summary>
public sealed class ConsoleTests(Site site, BootedMachine machine) : IClassFixture<BootedMachine>
{
    private const string Pixels = "canvas => { const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; let hash = 0, lit = 0; for (let i = 0; i < data.length; i += 4) { const value = data[i] | data[i + 1] << 8 | data[i + 2] << 16; if (value) lit++; hash = (hash * 31 + value) | 0; } return [hash, lit]; }";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task The_overview_tells_what_the_guest_took_of_the_paravirtual_interfaces()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{machine.Id}");
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
        await using var window = await ConsoleAsync();
        await UntilAsync(async () => (await LookAsync(window))[1] > 1000, "nothing is painted");
        string mark = Rest.NewName("typed");
        await TypeAsync(window, $"echo {mark} ");
        int[] before = await LookAsync(window);
        await TypeAsync(window, "x");
        await UntilAsync(async () => (await LookAsync(window))[0] != before[0], "a typed letter is not seen");
        await window.Page.Keyboard.PressAsync("Backspace");
        await TypeAsync(window, "$(uname -sm) > /dev/ttyS0\n");
        await machine.UntilSerialAsync(text => text.Contains($"{mark} Linux x86_64", StringComparison.Ordinal));
        await window.Button("Statistics").ClickAsync();
        await Expect(window.Page.Locator("[data-statistics]")).ToContainTextAsync("Latency");
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task Pasted_text_arrives_exactly_with_every_printable_character()
    {
        await using var window = await ConsoleAsync();
        string all = string.Concat(Enumerable.Range(' ', '~' - ' ' + 1).Select(code => (char)code)).Trim();
        string mark = Rest.NewName("paste");
        await PasteAsync(window, $"cat > /dev/ttyS0\n{mark}:{all}\n");
        await machine.UntilSerialAsync(text => text.Contains($"{mark}:{all}\r\n", StringComparison.Ordinal));
        await window.Page.Locator("#screen").FocusAsync();
        await window.Page.Keyboard.PressAsync("Control+d");
    }

    [Fact]
    public async Task A_second_viewer_sees_the_same_and_may_take_control()
    {
        await using var first = await ConsoleAsync();
        await using var second = await site.OpenAsync();
        await second.GoAsync($"/vms/{machine.Id}/console");
        await Expect(first.Page.Locator("[data-viewers='2']")).ToBeVisibleAsync();
        await Expect(second.Page.Locator("[data-control=other]")).ToBeVisibleAsync();
        // The cursor blinks: sooner or later both show the same.
        await UntilAsync(async () => (await LookAsync(first)) is [var hash, > 1000] && (await LookAsync(second))[0] == hash, "the two screens differ");
        await second.Page.GetByRole(AriaRole.Button, new() { Name = "2 viewers" }).ClickAsync();
        await second.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Take control" }).ClickAsync();
        await Expect(second.Page.Locator("[data-control=mine]")).ToBeVisibleAsync();
        await Expect(first.Page.Locator("[data-control=other]")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task Who_may_only_look_cannot_type()
    {
        string mark = Rest.NewName("forbidden");
        await using (var viewer = await site.OpenAsAsync("viewer"))
        {
            await viewer.GoAsync($"/vms/{machine.Id}/console");
            await Expect(viewer.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
            await Expect(viewer.Page.Locator("[data-control=other]")).ToHaveTextAsync("View only");
            await Expect(viewer.Button("Paste")).ToBeDisabledAsync();
            await viewer.Page.Locator("#screen").FocusAsync();
            await TypeAsync(viewer, $"echo {mark} > /dev/ttyS0\n");
        }

        await using var window = await ConsoleAsync();
        string later = Rest.NewName("allowed");
        await TypeAsync(window, $"echo {later} > /dev/ttyS0\n");
        string text = await machine.UntilSerialAsync(printed => printed.Contains(later, StringComparison.Ordinal));
        Assert.DoesNotContain(mark, text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_serial_terminal_types_and_shows()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{machine.Id}/serial");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        string mark = Rest.NewName("serial");
        await window.Page.Locator("#terminal textarea").FocusAsync();
        await window.Page.Keyboard.TypeAsync($"echo {mark}-$((6*7))\n");
        await UntilAsync(async () => (await window.Page.EvaluateAsync<string>("() => document.getElementById('terminal').terminal.text()")).Contains($"{mark}-42", StringComparison.Ordinal), "the terminal does not show the answer");
    }

    [Fact]
    public async Task The_console_comes_back_after_a_restart_of_the_service()
    {
        await using var window = await ConsoleAsync();
        await site.Service.KillAsync();
        await site.Service.StartAgainAsync();
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await window.InteractiveAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await UntilAsync(async () => (await LookAsync(window))[1] > 1000, "nothing is painted after the restart");
        // The page may still be loading itself anew, and what is typed meanwhile goes nowhere: it is typed until it arrives.
        string mark = Rest.NewName("again");
        bool arrived = false;
        for (int attempt = 0; attempt < 10 && !arrived; attempt++)
        {
            await Expect(window.Page.Locator("[data-control=mine]")).ToBeVisibleAsync(new() { Timeout = 60_000 });
            await window.Page.Locator("#screen").FocusAsync();
            await TypeAsync(window, $"echo {mark} > /dev/ttyS0\n");
            for (int wait = 0; wait < 25 && !arrived; wait++)
            {
                await Task.Delay(200, TestContext.Current.CancellationToken);
                arrived = (await machine.SerialAsync()).Contains(mark, StringComparison.Ordinal);
            }
        }

        Assert.True(arrived, "Nothing that was typed after the restart reached the guest.");
    }

    [Fact]
    public async Task Ctrl_Alt_Del_from_the_menu_reboots()
    {
        int boots = Count(await machine.SerialAsync());
        await using var window = await ConsoleAsync();
        await window.Page.GetByRole(AriaRole.Button, new() { Name = "Keys" }).ClickAsync();
        await window.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Ctrl-Alt-Del" }).ClickAsync();
        await machine.UntilSerialAsync(text => Count(text) > boots);
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();

        static int Count(string text) => text.Split("ready on /dev/ttyS0").Length - 1;
    }

    private async Task<Window> ConsoleAsync()
    {
        var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{machine.Id}/console");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeVisibleAsync(new() { Timeout = 30_000 });
        await window.Page.Locator("#screen").FocusAsync();
        return window;
    }

    private static async Task PasteAsync(Window window, string text)
    {
        await window.Button("Paste").ClickAsync();
        await window.Page.GetByLabel("Text", new() { Exact = true }).FillAsync(text);
        await window.Button("Type").ClickAsync();
        await Expect(window.Page.GetByRole(AriaRole.Dialog)).ToHaveCountAsync(0);
    }

    // Playwright types a shifted character without the Shift key; a guest sees keys, not characters.
    private static async Task TypeAsync(Window window, string text)
    {
        foreach (char c in text)
        {
            await window.Page.Keyboard.PressAsync(c switch
            {
                '\n' => "Enter",
                ' ' => "Space",
                '>' => "Shift+Period",
                '$' => "Shift+Digit4",
                '(' => "Shift+Digit9",
                ')' => "Shift+Digit0",
                _ when char.IsAsciiLetterUpper(c) => $"Shift+Key{c}",
                _ when char.IsAsciiLetterLower(c) => $"Key{char.ToUpperInvariant(c)}",
                _ when char.IsAsciiDigit(c) => $"Digit{c}",
                '-' => "Minus",
                '/' => "Slash",
                _ => throw new ArgumentException($"No key is known for '{c}'."),
            });
        }
    }

    /// <summary>A hash of the canvas, and how many of its pixels are not black.</summary>
    private static Task<int[]> LookAsync(Window window) => window.Page.Locator("#screen").EvaluateAsync<int[]>(Pixels);

    // A page that is being replaced cannot be looked at.
    private static async Task<bool> TryAsync(Func<Task<bool>> there)
    {
        try
        {
            return await there();
        }
        catch (PlaywrightException)
        {
            return false;
        }
    }

    private static async Task UntilAsync(Func<Task<bool>> there, string otherwise)
    {
        long began = Stopwatch.GetTimestamp();
        while (!await TryAsync(there))
        {
            Assert.True(Stopwatch.GetElapsedTime(began) < Patience, otherwise);
            await Task.Delay(100, Rest.Cancellation);
        }
    }
}
