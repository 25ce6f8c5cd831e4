using WebVm.Vmm.Devices.Input;

namespace WebVm.Api.Console.Keyboard;

/// <summary>One physical key with the modifiers held.</summary>
public readonly record struct KeyStroke(KeyCode Key, KeyModifiers Modifiers = KeyModifiers.None);

[Flags]
public enum KeyModifiers
{
    None = 0,
    Shift = 1,
    AltGr = 2,
}
