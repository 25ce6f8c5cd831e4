using System.Collections.Frozen;

namespace WebVm.Vmm.Keys;

/// <summary>
/// Which keys a guest with a certain keyboard layout needs pressed for a character. The tables follow the basic variants of
/// xkeyboard-config (symbols us, de, fr), which Debian's installer configures too.
/// </summary>
public sealed class KeyboardLayout
{
    private const char None = '\0';

    // The character keys, row by row, by what a US keyboard has on them.
    private static readonly KeyCode[][] s_rows =
    [
        [KeyCode.Backquote, KeyCode.Digit1, KeyCode.Digit2, KeyCode.Digit3, KeyCode.Digit4, KeyCode.Digit5, KeyCode.Digit6, KeyCode.Digit7,
            KeyCode.Digit8, KeyCode.Digit9, KeyCode.Digit0, KeyCode.Minus, KeyCode.Equal],
        [KeyCode.KeyQ, KeyCode.KeyW, KeyCode.KeyE, KeyCode.KeyR, KeyCode.KeyT, KeyCode.KeyY, KeyCode.KeyU, KeyCode.KeyI, KeyCode.KeyO,
            KeyCode.KeyP, KeyCode.BracketLeft, KeyCode.BracketRight],
        [KeyCode.KeyA, KeyCode.KeyS, KeyCode.KeyD, KeyCode.KeyF, KeyCode.KeyG, KeyCode.KeyH, KeyCode.KeyJ, KeyCode.KeyK, KeyCode.KeyL,
            KeyCode.Semicolon, KeyCode.Quote, KeyCode.Backslash],
        [KeyCode.IntlBackslash, KeyCode.KeyZ, KeyCode.KeyX, KeyCode.KeyC, KeyCode.KeyV, KeyCode.KeyB, KeyCode.KeyN, KeyCode.KeyM,
            KeyCode.Comma, KeyCode.Period, KeyCode.Slash],
    ];

    // What a dead key makes of a letter: accent, then pairs of letter and result.
    private static readonly Dictionary<char, string> s_compositions = new()
    {
        ['´'] = "aáeéiíoóuúyýAÁEÉIÍOÓUÚYÝ",
        ['`'] = "aàeèiìoòuùAÀEÈIÌOÒUÙ",
        ['^'] = "aâeêiîoôuûAÂEÊIÎOÔUÛ",
        ['¨'] = "aäeëiïoöuüyÿAÄEËIÏOÖUÜ",
    };

    private readonly FrozenDictionary<char, KeyStroke[]> _strokes;

    private KeyboardLayout(string name, string title, string dead, string[] plain, string[] shifted, string[] altGr)
    {
        Name = name;
        Title = title;
        var strokes = new Dictionary<char, KeyStroke[]>
        {
            [' '] = [new(KeyCode.Space)],
            ['\n'] = [new(KeyCode.Enter)],
            ['\t'] = [new(KeyCode.Tab)],
            ['\b'] = [new(KeyCode.Backspace)],
        };
        var accents = new Dictionary<char, KeyStroke>();
        AddLevel(strokes, accents, dead, plain, KeyModifiers.None);
        AddLevel(strokes, accents, dead, shifted, KeyModifiers.Shift);
        AddLevel(strokes, accents, "", altGr, KeyModifiers.AltGr);
        foreach (var (accent, stroke) in accents)
        {
            // A dead key and the space bar give the accent itself.
            strokes.TryAdd(accent, [stroke, new(KeyCode.Space)]);
            string pairs = s_compositions[accent];
            for (int i = 0; i < pairs.Length; i += 2)
            {
                strokes.TryAdd(pairs[i + 1], [stroke, strokes[pairs[i]][0]]);
            }
        }

        _strokes = strokes.ToFrozenDictionary();
    }

    public static IReadOnlyList<KeyboardLayout> All { get; } =
    [
        new("us", "English (US)", "",
            ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", "\0zxcvbnm,./"],
            ["~!@#$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:\"|", "\0ZXCVBNM<>?"],
            ["", "", "", ""]),
        new("de", "Deutsch", "^´`",
            ["^1234567890ß´", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
            ["°!\"§$%&/()=?`", "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"],
            ["\0¹²³¼½¬{[]}\\", "@\0€\0\0\0\0\0\0\0\0~", "", "|\0\0\0\0\0\0µ"]),
        new("fr", "Français", "^¨",
            ["²&é\"'(-è_çà)=", "azertyuiop^$", "qsdfghjklmù*", "<wxcvbn,;:!"],
            ["\01234567890°+", "AZERTYUIOP¨£", "QSDFGHJKLM%µ", ">WXCVBN?./§"],
            ["\0\0~#{[|`\\^@]}", "\0\0€\0\0\0\0\0\0\0\0¤", "", ""]),
    ];

    /// <summary>What a guest has that nobody set another one in.</summary>
    public static KeyboardLayout Us => All[0];

    /// <summary>Short name, such as "us".</summary>
    public string Name { get; }

    /// <summary>The layout's name in its own language.</summary>
    public string Title { get; }

    public static KeyboardLayout? Find(string name) => All.FirstOrDefault(layout => layout.Name == name);

    /// <summary>The keys for one character, in turn; false when the layout has no way to type it.</summary>
    public bool TryGetStrokes(char character, out ReadOnlySpan<KeyStroke> strokes)
    {
        bool found = _strokes.TryGetValue(character, out var keys);
        strokes = keys;
        return found;
    }

    private static void AddLevel(
        Dictionary<char, KeyStroke[]> strokes, Dictionary<char, KeyStroke> accents, string dead, string[] rows, KeyModifiers modifiers)
    {
        for (int row = 0; row < rows.Length; row++)
        {
            for (int column = 0; column < rows[row].Length; column++)
            {
                char character = rows[row][column];
                var stroke = new KeyStroke(s_rows[row][column], modifiers);
                if (dead.Contains(character, StringComparison.Ordinal) && character != None)
                {
                    accents[character] = stroke;
                }
                else if (character != None)
                {
                    strokes.TryAdd(character, [stroke]);
                }
            }
        }
    }
}
