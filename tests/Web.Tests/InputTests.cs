using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Keys, typed and touched, as the guest's own keyboard reports them (key codes of linux/input-event-codes.h).</summary>
public sealed class InputTests(Site site) : LinuxTests(site)
{
    [Theory]
    // z and y change places; ß, ü and # have keys of their own; @ is AltGr with Q, / is Shift with 7.
    [InlineData("de", "zyßü#@/", "+21 -21 +44 -44 +12 -12 +26 -26 +43 -43 +100 +16 -16 -100 +42 +8 -8 -42")]
    // a is on the key of Q, m beside L; digits want Shift, é does not; @ is AltGr with 0.
    [InlineData("fr", "am1é@", "+16 -16 +39 -39 +42 +2 -2 -42 +3 -3 +100 +11 -11 -100")]
    public async Task Pasted_text_is_typed_with_the_keys_of_the_guests_layout(string layout, string text, string keys)
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        Assert.Equal(keys, await Machine.KeysAsync(() => window.PasteAsync(text, layout), keys));
        await LeaveTheLineAsync(window);
    }

    [Fact]
    public async Task Keys_that_are_down_are_released_when_the_screen_loses_the_focus()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        string seen = await Machine.KeysAsync(
            async () =>
            {
                await window.Page.Keyboard.DownAsync("ControlLeft");
                await window.Page.Keyboard.DownAsync("AltLeft");
                await window.Button("Statistics").FocusAsync();
            },
            "+29 +56 -29 -56");
        Assert.Equal("+29 +56 -29 -56", seen);
    }

    [Fact]
    public async Task AltGr_comes_without_the_Ctrl_that_Windows_adds_and_dead_keys_come_as_keys()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        string seen = await Machine.KeysAsync(
            () => window.Page.Locator("#screen").EvaluateAsync(
                """
                canvas => {
                  const key = (type, code, key, more) => canvas.dispatchEvent(new KeyboardEvent(type, { code, key, bubbles: true, cancelable: true, ...more }));
                  key('keydown', 'ControlLeft', 'Control', { ctrlKey: true });
                  key('keydown', 'AltRight', 'AltGraph', { modifierAltGraph: true });
                  key('keydown', 'KeyQ', '@', { modifierAltGraph: true });
                  key('keyup', 'KeyQ', '@', {});
                  key('keyup', 'AltRight', 'AltGraph', {});
                  key('keydown', 'BracketRight', 'Dead', {});
                  key('keyup', 'BracketRight', 'Dead', {});
                }
                """),
            "+29 -29 +100 +16 -16 -100 +27 -27");
        Assert.Equal("+29 -29 +100 +16 -16 -100 +27 -27", seen);
        await LeaveTheLineAsync(window);
    }

    [Fact]
    public async Task A_phone_types_by_its_own_keyboard_and_has_the_keys_that_it_lacks()
    {
        await using var window = await Site.OpenConsoleAsync(Machine, Handheld.Phone);
        var field = window.Page.GetByLabel("Type into the guest");
        string mark = Rest.NewName("phone");
        await field.FocusAsync();
        // A keyboard that suggests words inserts and takes back, without key events.
        await window.Page.Keyboard.InsertTextAsync($"echo {mark}X");
        await field.PressAsync("Backspace");
        await window.Page.Keyboard.InsertTextAsync("-Y > /dev/ttyS0\n");
        await Machine.UntilSerialAsync(text => text.Contains($"{mark}-Y", StringComparison.Ordinal));
        string chord = await Machine.KeysAsync(
            async () =>
            {
                await window.Button("Ctrl").ClickAsync();
                await field.FocusAsync();
                await window.Page.Keyboard.InsertTextAsync("c");
                await window.Button("Up").ClickAsync();
                await window.Button("Esc").ClickAsync();
            },
            "+29 +46 -46 -29 +103 -103 +1 -1");
        Assert.Equal("+29 +46 -46 -29 +103 -103 +1 -1", chord);
        await window.Page.GetByRole(AriaRole.Button, new() { Name = "Keys" }).ClickAsync();
        await Expect(window.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Ctrl-Alt-Del" })).ToBeInViewportAsync();
        await window.Page.Keyboard.PressAsync("Escape");
        await LeaveTheLineAsync(window);
    }

    [Fact]
    public async Task The_screen_fills_the_viewers_screen_and_still_types()
    {
        await using var window = await Site.OpenConsoleAsync(Machine);
        await window.Button("Fullscreen").ClickAsync();
        await window.Page.WaitForFunctionAsync("() => document.fullscreenElement?.classList.contains('screen')");
        await window.Page.WaitForFunctionAsync(
            "() => { const box = document.getElementById('screen').getBoundingClientRect(); return box.width === innerWidth && "
            + "box.height === innerHeight; }");
        string mark = Rest.NewName("full");
        await window.TypeAsync($"echo {mark} > /dev/ttyS0\n");
        await Machine.UntilSerialAsync(text => text.Contains(mark, StringComparison.Ordinal));
        await window.Page.EvaluateAsync("() => document.exitFullscreen()");
        await Expect(window.Button("Fullscreen")).ToBeInViewportAsync();
    }

    /// <summary>What was typed was not meant for the shell that reads the keyboard too.</summary>
    private static async Task LeaveTheLineAsync(Window window)
    {
        await window.Page.Locator("#screen").FocusAsync();
        await window.Page.Keyboard.PressAsync("Control+KeyC");
    }
}
