using System.Diagnostics;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>A machine's screen in a browser window.</summary>
internal static class ConsoleWindow
{
    private const string Pixels =
        "canvas => { const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; let hash = 0, lit = 0; "
        + "for (let i = 0; i < data.length; i += 4) { const value = data[i] | data[i + 1] << 8 | data[i + 2] << 16; if (value) lit++; "
        + "hash = (hash * 31 + value) | 0; } return [hash, lit]; }";

    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(Site.Patience);

    /// <summary>A window in control of the machine's console, with the focus on its screen.</summary>
    public static async Task<Window> OpenConsoleAsync(this Site site, BootedMachine machine, Handheld? device = null)
    {
        var window = await site.OpenAsync(device: device);
        await window.GoAsync($"/vms/{machine.Id}/console");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeAttachedAsync();
        await window.Page.Locator("#screen").FocusAsync();
        return window;
    }

    /// <summary>A hash of the canvas, and how many of its pixels are not black.</summary>
    public static Task<int[]> LookAsync(this Window window) => window.Page.Locator("#screen").EvaluateAsync<int[]>(Pixels);

    public static async Task PasteAsync(this Window window, string text, string layout = "us")
    {
        await window.Button("Paste").ClickAsync();
        await window.Page.GetByLabel("Text", new() { Exact = true }).FillAsync(text);
        await window.Page.GetByLabel("Guest's keyboard layout").SelectOptionAsync(layout);
        await window.Button("Type").ClickAsync();
        await Expect(window.Page.GetByRole(AriaRole.Dialog)).ToHaveCountAsync(0);
    }

    /// <summary>Playwright types a shifted character without the Shift key; a guest sees keys, not characters.</summary>
    public static async Task TypeAsync(this Window window, string text)
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

    public static Task UntilAsync(Func<Task<bool>> there, string otherwise) => UntilAsync(there, () => otherwise);

    /// <param name="otherwise">What is seen when patience is over.</param>
    public static async Task UntilAsync(Func<Task<bool>> there, Func<string> otherwise)
    {
        long began = Stopwatch.GetTimestamp();
        while (!await TryAsync(there))
        {
            if (Stopwatch.GetElapsedTime(began) >= Patience)
            {
                Assert.Fail(otherwise());
            }

            await Task.Delay(100, Rest.Cancellation);
        }
    }

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
}
