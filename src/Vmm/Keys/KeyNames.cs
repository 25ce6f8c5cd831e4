using System.Collections.Frozen;

namespace WebVm.Vmm.Keys;

/// <summary>Reads keys and key combinations as people write them: "KeyA", "a", "ctrl-alt-delete".</summary>
public static class KeyNames
{
    /// <summary>Keys that one combination can hold.</summary>
    public const int LongestCombination = 8;

    private static readonly FrozenDictionary<string, KeyCode> s_names = MakeNames().ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    private static readonly string[] s_codes = [.. Enum.GetValues<KeyCode>().Select(key => key.ToString())];

    /// <summary>The key with that name, in any case: a KeyboardEvent.code, a letter, a digit, or a common short name.</summary>
    public static bool TryParse(string name, out KeyCode key) => s_names.TryGetValue(name, out key);

    /// <summary>Whether it is a KeyboardEvent.code as a browser writes it, of a key that there is.</summary>
    public static bool IsCode(string name) => TryParse(name, out var key) && s_codes[(int)key] == name;

    /// <summary>Keys joined by "-" or "+", to be pressed in that order and released in the opposite one.</summary>
    public static bool TryParseCombination(string text, out IReadOnlyList<KeyCode> keys)
    {
        var found = new List<KeyCode>();
        keys = found;
        if (TryParse(text, out var single))
        {
            found.Add(single);
            return true;
        }

        foreach (string part in text.Split(['-', '+'], LongestCombination + 1))
        {
            if (found.Count == LongestCombination || !TryParse(part, out var key))
            {
                return false;
            }

            found.Add(key);
        }

        return true;
    }

    private static Dictionary<string, KeyCode> MakeNames()
    {
        var names = new Dictionary<string, KeyCode>(StringComparer.OrdinalIgnoreCase);
        foreach (var key in Enum.GetValues<KeyCode>())
        {
            string name = key.ToString();
            if (key != KeyCode.None)
            {
                names[name] = key;
            }

            if (name.StartsWith("Key", StringComparison.Ordinal) || name.StartsWith("Digit", StringComparison.Ordinal))
            {
                names[name[^1..]] = key;
            }
        }

        foreach (var (name, key) in new[]
        {
            ("ctrl", KeyCode.ControlLeft), ("control", KeyCode.ControlLeft), ("shift", KeyCode.ShiftLeft), ("alt", KeyCode.AltLeft),
            ("altgr", KeyCode.AltRight), ("meta", KeyCode.MetaLeft), ("super", KeyCode.MetaLeft), ("win", KeyCode.MetaLeft),
            ("menu", KeyCode.ContextMenu),
            ("esc", KeyCode.Escape), ("return", KeyCode.Enter), ("ret", KeyCode.Enter), ("del", KeyCode.Delete), ("ins", KeyCode.Insert),
            ("up", KeyCode.ArrowUp), ("down", KeyCode.ArrowDown), ("left", KeyCode.ArrowLeft), ("right", KeyCode.ArrowRight),
            ("pgup", KeyCode.PageUp), ("pgdn", KeyCode.PageDown), ("print", KeyCode.PrintScreen), ("sysrq", KeyCode.PrintScreen),
            ("spc", KeyCode.Space), ("caps", KeyCode.CapsLock),
        })
        {
            names[name] = key;
        }

        return names;
    }
}
