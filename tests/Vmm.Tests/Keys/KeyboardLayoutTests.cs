using WebVm.Vmm.Devices.Input;
using Xunit;
using WebVm.Vmm.Keys;

namespace WebVm.Vmm.Tests.Keys;

public sealed class KeyboardLayoutTests
{
    [Theory]
    [InlineData("us")]
    [InlineData("de")]
    [InlineData("fr")]
    public void Every_printable_ASCII_character_can_be_typed(string name)
    {
        var layout = KeyboardLayout.Find(name)!;
        string characters = new string([.. Enumerable.Range(32, 95).Select(c => (char)c)]) + "\n\t\b";
        Assert.Equal("", new string([.. characters.Where(character => !layout.TryGetStrokes(character, out _))]));
    }

    [Theory]
    [InlineData("us", '@', KeyCode.Digit2, KeyModifiers.Shift)]
    [InlineData("us", 'z', KeyCode.KeyZ, KeyModifiers.None)]
    [InlineData("de", 'z', KeyCode.KeyY, KeyModifiers.None)]
    [InlineData("de", '@', KeyCode.KeyQ, KeyModifiers.AltGr)]
    [InlineData("de", 'ß', KeyCode.Minus, KeyModifiers.None)]
    [InlineData("de", '|', KeyCode.IntlBackslash, KeyModifiers.AltGr)]
    [InlineData("de", '{', KeyCode.Digit7, KeyModifiers.AltGr)]
    [InlineData("fr", 'a', KeyCode.KeyQ, KeyModifiers.None)]
    [InlineData("fr", '1', KeyCode.Digit1, KeyModifiers.Shift)]
    [InlineData("fr", 'm', KeyCode.Semicolon, KeyModifiers.None)]
    [InlineData("fr", '@', KeyCode.Digit0, KeyModifiers.AltGr)]
    [InlineData("fr", '#', KeyCode.Digit3, KeyModifiers.AltGr)]
    public void Characters_are_where_the_layout_has_them(string name, char character, KeyCode key, KeyModifiers modifiers)
    {
        Assert.True(KeyboardLayout.Find(name)!.TryGetStrokes(character, out var strokes));
        Assert.Equal([new KeyStroke(key, modifiers)], strokes.ToArray());
    }

    [Fact]
    public void A_dead_key_is_followed_by_its_letter_or_space()
    {
        var german = KeyboardLayout.Find("de")!;
        Assert.True(german.TryGetStrokes('é', out var accented));
        Assert.Equal([new KeyStroke(KeyCode.Equal), new KeyStroke(KeyCode.KeyE)], accented.ToArray());
        Assert.True(german.TryGetStrokes('^', out var circumflex));
        Assert.Equal([new KeyStroke(KeyCode.Backquote), new KeyStroke(KeyCode.Space)], circumflex.ToArray());
    }

    [Fact]
    public void What_a_layout_does_not_have_is_not_typed() => Assert.False(KeyboardLayout.Us.TryGetStrokes('é', out _));

    [Theory]
    [InlineData(KeyModifiers.None, "KeyA")]
    [InlineData(KeyModifiers.Shift, "ShiftLeft KeyA")]
    [InlineData(KeyModifiers.Shift | KeyModifiers.AltGr, "ShiftLeft AltRight KeyA")]
    public void Modifiers_are_pressed_before_their_key(KeyModifiers modifiers, string expected) =>
        Assert.Equal(expected, string.Join(' ', new KeyStroke(KeyCode.KeyA, modifiers).Chord));
}
