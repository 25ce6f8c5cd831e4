namespace WebVm.Vmm.Devices.Input;

/// <summary>Which key of a United States keyboard makes a character: for text that is typed into a guest.</summary>
public static class UsLayout
{
    private static readonly (string Plain, string Shifted, KeyCode[] Keys)[] s_rows =
    [
        ("`1234567890-=", "~!@#$%^&*()_+",
            [KeyCode.Backquote, KeyCode.Digit1, KeyCode.Digit2, KeyCode.Digit3, KeyCode.Digit4, KeyCode.Digit5, KeyCode.Digit6, KeyCode.Digit7,
             KeyCode.Digit8, KeyCode.Digit9, KeyCode.Digit0, KeyCode.Minus, KeyCode.Equal]),
        ("[]\\;',./", "{}|:\"<>?",
            [KeyCode.BracketLeft, KeyCode.BracketRight, KeyCode.Backslash, KeyCode.Semicolon, KeyCode.Quote, KeyCode.Comma, KeyCode.Period, KeyCode.Slash]),
        (" \n\t\b", "", [KeyCode.Space, KeyCode.Enter, KeyCode.Tab, KeyCode.Backspace]),
    ];

    /// <summary>The key, and whether shift is held with it; false for characters that the keyboard does not have.</summary>
    public static bool TryMap(char character, out KeyCode key, out bool shift)
    {
        shift = char.IsAsciiLetterUpper(character);
        if (char.IsAsciiLetter(character))
        {
            return KeyNames.TryParse(character.ToString(), out key);
        }

        foreach (var (plain, shifted, keys) in s_rows)
        {
            int index = plain.IndexOf(character, StringComparison.Ordinal);
            shift = index < 0;
            index = index < 0 ? shifted.IndexOf(character, StringComparison.Ordinal) : index;
            if (index >= 0)
            {
                key = keys[index];
                return true;
            }
        }

        key = KeyCode.None;
        return false;
    }
}
