namespace WebVm.Vmm.Keys;

/// <summary>One physical key with the modifiers held.</summary>
public readonly record struct KeyStroke(KeyCode Key, KeyModifiers Modifiers = KeyModifiers.None)
{
    /// <summary>The keys to press in turn, and to release in the opposite order.</summary>
    public IReadOnlyList<KeyCode> Chord =>
    [
        .. Modifiers.HasFlag(KeyModifiers.Shift) ? (ReadOnlySpan<KeyCode>)[KeyCode.ShiftLeft] : [],
        .. Modifiers.HasFlag(KeyModifiers.AltGr) ? (ReadOnlySpan<KeyCode>)[KeyCode.AltRight] : [],
        Key,
    ];
}

[Flags]
public enum KeyModifiers
{
    None = 0,
    Shift = 1,
    AltGr = 2,
}
