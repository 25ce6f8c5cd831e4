using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What guests ask the terminal on their serial port, and who answers: the guest counts what arrives.</summary>
public sealed class SerialTests(Site site) : LinuxTests(site)
{
    // Every question that xterm answers: DSR, DA1, DA2, DECRQM, colours, DECRQSS, and the focus when its reports are switched on.
    private const string Questions =
        @"\033[5n\033[6n\033[?6n\033[c\033[>c\033[4$p\033[?25$p\033[?1004h\033[?1004l\033[14t\033[18t\033[>q\033]4;1;?\007\033]10;?\007\033]11;?\033\\\033]12;?\007\033P$qm\033\\";

    // A cursor report: ESC [ row ; column R, in which row and column are digits.
    private const string CursorReport = @"\A1b5b(3\d)+3b(3\d)+52\z";

    [Fact]
    public async Task Old_questions_are_not_answered_when_the_page_is_opened_again()
    {
        await Machine.RunAsync($"printf '{Questions}'");
        var reader = await Machine.ReadLinesAsync();
        await using var window = await OpenAsync(reader);
        await window.Page.Keyboard.PressAsync("Enter");
        Assert.Equal([""], await reader.LinesAsync(1));
        await reader.DisposeAsync();
        await window.Page.ReloadAsync();
        await UntilReadyAsync(window, reader);
        string mark = Rest.NewName("clean");
        await window.Page.Keyboard.TypeAsync($"echo {mark}-$((6*7))\n");
        string text = await Machine.UntilSerialAsync(printed => printed.Contains($"{mark}-42", StringComparison.Ordinal));
        string line = text[..text.IndexOf($"{mark}-42", StringComparison.Ordinal)].Split('\n')[^2];
        // The shell itself asks for the cursor at every prompt.
        Assert.EndsWith(
            $"# echo {mark}-$((6*7))", line.Replace("\e[6n", "", StringComparison.Ordinal).TrimEnd('\r'), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_terminal_with_the_focus_answers_once()
    {
        await using var reader = await Machine.ReadLinesAsync();
        await using var window = await OpenAsync(reader);
        await window.Page.Keyboard.PressAsync("Enter");
        Assert.Equal([""], await reader.LinesAsync(1));
        await reader.PrintAsync(@"\033[6n");
        await UntilShownAsync(window, reader);
        await window.Page.Keyboard.PressAsync("Enter");
        Assert.Matches(CursorReport, (await reader.LinesAsync(2))[1]);
    }

    [Fact]
    public async Task Of_two_viewers_one_answers_and_one_who_may_only_look_never_does()
    {
        await using var reader = await Machine.ReadLinesAsync();
        await using var first = await OpenAsync(reader);
        await using var second = await OpenAsync(reader);
        await using var looker = await Site.OpenAsAsync("viewer");
        await looker.GoAsync($"/vms/{Machine.Id}/serial");
        await UntilReadyAsync(looker, reader);
        await first.Page.Keyboard.PressAsync("Enter");
        await second.Page.Keyboard.PressAsync("Enter");
        Assert.Equal(["", ""], await reader.LinesAsync(2));

        // Both believe to have the focus, as on two computers.
        await reader.PrintAsync(@"\033[6n");
        foreach (var window in new[] { first, second, looker })
        {
            await UntilShownAsync(window, reader);
        }

        await first.Page.Keyboard.PressAsync("Enter");
        await second.Page.Keyboard.PressAsync("Enter");
        Assert.Matches(CursorReport, string.Concat((await reader.LinesAsync(4))[2..]));
    }

    [Fact]
    public async Task A_terminal_without_the_focus_does_not_answer()
    {
        await using var reader = await Machine.ReadLinesAsync();
        await using var window = await OpenAsync(reader);
        await window.Page.Keyboard.PressAsync("Enter");
        Assert.Equal([""], await reader.LinesAsync(1));
        await window.Heading(Machine.Name).FocusAsync();
        await reader.PrintAsync(Questions);
        await UntilShownAsync(window, reader);
        await window.Page.Locator("#terminal textarea").FocusAsync();
        await window.Page.Keyboard.PressAsync("Enter");
        Assert.Equal(["", ""], await reader.LinesAsync(2));
    }

    private async Task<Window> OpenAsync(BootedMachine.LineReader shown)
    {
        var window = await Site.OpenAsync();
        await window.GoAsync($"/vms/{Machine.Id}/serial");
        await UntilReadyAsync(window, shown);
        return window;
    }

    /// <summary>Waits until the terminal has caught up with the log, and gives it the focus.</summary>
    private static async Task UntilReadyAsync(Window window, BootedMachine.LineReader shown)
    {
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await window.Page.Locator("#terminal textarea").FocusAsync();
        await UntilShownAsync(window, shown);
    }

    private static Task UntilShownAsync(Window window, BootedMachine.LineReader reader) => ConsoleWindow.UntilAsync(
        async () => (await window.Page.EvaluateAsync<string>("() => document.getElementById('terminal').terminal.text()")).Contains(
            reader.Sign, StringComparison.Ordinal),
        "the terminal does not show that the guest reads");
}
