namespace WebVm.Api.Console.Keyboard;

/// <summary>One key with the modifiers held, by evdev key codes (linux/input-event-codes.h).</summary>
public readonly record struct KeyStroke(int Key, KeyModifiers Modifiers = KeyModifiers.None);

[Flags]
public enum KeyModifiers
{
    None = 0,
    Shift = 1,
    AltGr = 2,
}
