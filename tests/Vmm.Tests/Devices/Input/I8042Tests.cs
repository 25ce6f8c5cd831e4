using System.Text.RegularExpressions;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Devices.Input.Ps2;
using WebVm.Vmm.Devices.Wires;
using WebVm.Vmm.Keys;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Input;

public sealed partial class I8042Tests
{
    private readonly RecordingRouter _router = new();
    private readonly RecordingSignals _signals = new();
    private readonly A20Gate _a20 = new();
    private readonly I8042 _controller;

    public I8042Tests()
    {
        _controller = new I8042(_router.Line(1), _router.Line(12), _a20, _signals);
        _controller.Input.Open();
    }

    [Fact]
    public void The_controller_answers_the_probe_of_Linux_and_firmware()
    {
        Assert.Equal(0x55, Ask(0xaa));
        Assert.Equal(0x04, Status() & 0x04);
        Assert.Equal(0x00, Ask(0xab));
        Assert.Equal(0x00, Ask(0xa9));
        Command(0x60, 0x70);
        Assert.Equal(0x70, Ask(0x20));
        Command(0xa8);
        Command(0xae);
        Assert.Equal(0x40, Ask(0x20));
        Command(0xa7);
        Command(0xad);
        Assert.Equal(0x70, Ask(0x20));
    }

    [Fact]
    public void The_mouse_loopback_comes_back_as_mouse_data_with_its_interrupt()
    {
        Command(0x60, 0x02);
        Command(0xd3, 0x5a);
        Assert.Equal(0x21, Status() & 0x21);
        Assert.True(_router[12]);
        Assert.Equal(0x5a, Data());
        Assert.False(_router[12]);
        Assert.Equal(0, Status() & 1);
        Command(0xd2, 0x77);
        Assert.Equal(0x01, Status() & 0x21);
        Assert.Equal(0x77, Data());
    }

    [Fact]
    public void The_keyboard_answers_its_commands()
    {
        Command(0x60, 0x00);
        Assert.Equal([0xfa, 0xaa], Keyboard(0xff));
        Assert.Equal([0xfa, 0xab, 0x83], Keyboard(0xf2));
        Assert.Equal([0xee], Keyboard(0xee));
        Assert.Equal([0xfa], Keyboard(0xed));
        Assert.Equal([0xfa], Keyboard(0x05));
        Assert.Equal(5, _controller.Leds);
        Assert.Equal([0xfa], Keyboard(0xf3));
        Assert.Equal([0xfa], Keyboard(0x20));
        Assert.Equal([0xfa], Keyboard(0xf0));
        Assert.Equal([0xfa, 0x02], Keyboard(0x00));
        Assert.Equal([0xfe], Keyboard(0x01));
        Assert.Equal([0xfa], Keyboard(0xf5));
        Assert.False(_controller.SendKey(KeyCode.KeyA, true));
        Assert.Equal([0xfa], Keyboard(0xf4));
        Assert.True(_controller.SendKey(KeyCode.KeyA, true));
    }

    [Fact]
    public void Keys_arrive_translated_and_each_byte_with_an_edge()
    {
        Command(0x60, 0x41);
        int edges = _router.Edges;
        Assert.True(_controller.SendKey(KeyCode.ControlRight, true));
        Assert.True(_router[1]);
        Assert.True(_controller.SendKey(KeyCode.ControlRight, false));
        Assert.Equal([0xe0, 0x1d, 0xe0, 0x9d], Drain());
        Assert.Equal(edges + 4, _router.Edges);
        Assert.False(_router[1]);
    }

    [Fact]
    public void Keys_arrive_raw_without_translation_and_in_set_1_when_asked()
    {
        Command(0x60, 0x00);
        _controller.SendKey(KeyCode.ArrowUp, true);
        _controller.SendKey(KeyCode.ArrowUp, false);
        Assert.Equal([0xe0, 0x75, 0xe0, 0xf0, 0x75], Drain());
        Keyboard(0xf0);
        Keyboard(0x01);
        _controller.SendKey(KeyCode.F7, true);
        _controller.SendKey(KeyCode.F7, false);
        Assert.Equal([0x41, 0xc1], Drain());
    }

    [Fact]
    public void Pause_and_print_screen_have_their_odd_sequences()
    {
        Command(0x60, 0x40);
        _controller.SendKey(KeyCode.Pause, true);
        Assert.Equal([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5], Drain());
        _controller.SendKey(KeyCode.Pause, false);
        Assert.Empty(Drain());
        _controller.SendKey(KeyCode.PrintScreen, true);
        _controller.SendKey(KeyCode.PrintScreen, false);
        Assert.Equal([0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa], Drain());
    }

    [Fact]
    public void Every_key_without_prefix_translates_to_its_Linux_key_code()
    {
        // Linux numbered its first keys after scan code set 1 (linux/input-event-codes.h).
        var linux = LinuxKey().Matches(File.ReadAllText("/usr/include/linux/input-event-codes.h"))
            .ToDictionary(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value, null));
        Command(0x60, 0x40);
        int compared = 0;
        foreach (var key in Enum.GetValues<KeyCode>())
        {
            string name = LinuxName(key);
            if (name.Length > 0)
            {
                Assert.True(_controller.SendKey(key, true), name);
                Assert.Equal(linux[name], Assert.Single(Drain()));
                _controller.SendKey(key, false);
                Assert.Equal(linux[name] | 0x80, Assert.Single(Drain()));
                compared++;
            }
        }

        Assert.Equal(86, compared);
    }

    [Fact]
    public void Every_key_has_a_sequence_of_its_own()
    {
        Command(0x60, 0x40);
        var seen = new Dictionary<string, KeyCode>();
        // Zenkaku/hankaku of Japanese keyboards has the code of F24.
        foreach (var key in Enum.GetValues<KeyCode>().Where(key => key is not (KeyCode.None or KeyCode.Lang5)))
        {
            Assert.True(_controller.SendKey(key, true), key.ToString());
            string sequence = Convert.ToHexString(Drain());
            _controller.SendKey(key, false);
            Drain();
            Assert.True(seen.TryAdd(sequence, key), $"{key} and {seen.GetValueOrDefault(sequence)} both send {sequence}.");
        }
    }

    [Theory]
    [InlineData("Pause", "E11D45E19DC5", "")]
    [InlineData("Lang1", "F2", "")]
    [InlineData("Lang2", "F1", "")]
    [InlineData("Lang3", "78", "F8")]
    [InlineData("Lang4", "77", "F7")]
    [InlineData("Lang5", "76", "F6")]
    [InlineData("BrowserSearch", "E065", "E0E5")]
    [InlineData("BrowserHome", "E032", "E0B2")]
    [InlineData("BrowserBack", "E06A", "E0EA")]
    [InlineData("BrowserForward", "E069", "E0E9")]
    [InlineData("BrowserStop", "E068", "E0E8")]
    [InlineData("BrowserRefresh", "E067", "E0E7")]
    [InlineData("BrowserFavorites", "E066", "E0E6")]
    [InlineData("LaunchApp1", "E06B", "E0EB")]
    [InlineData("LaunchApp2", "E021", "E0A1")]
    [InlineData("LaunchMail", "E06C", "E0EC")]
    [InlineData("MediaSelect", "E06D", "E0ED")]
    [InlineData("Eject", "E02C", "E0AC")]
    [InlineData("Help", "E03B", "E0BB")]
    [InlineData("Undo", "E008", "E088")]
    [InlineData("Cut", "E017", "E097")]
    [InlineData("Copy", "E018", "E098")]
    [InlineData("Paste", "E00A", "E08A")]
    public void Keys_beyond_those_of_the_PC_send_what_Windows_knows_them_by_and_are_always_taken(
        string name, string pressed, string released)
    {
        Command(0x60, 0x40);
        var key = Enum.Parse<KeyCode>(name);
        Assert.True(_controller.SendKey(key, true));
        Assert.Equal(pressed, Convert.ToHexString(Drain()));
        Assert.True(_controller.SendKey(key, false));
        Assert.Equal(released, Convert.ToHexString(Drain()));
    }

    [Fact]
    public void Whatever_makes_the_keyboard_send_nothing_is_taken_and_holds_up_nobody()
    {
        Command(0x60, 0x40);
        foreach (var key in Enum.GetValues<KeyCode>())
        {
            Assert.True(_controller.SendKey(key, false), $"{key}, which is up, cannot be released");
            Assert.True(Typing.Press(_controller, [key]), $"{key} cannot be typed");
            Drain();
        }

        // Not even a guest that does not listen has anything to take there.
        Keyboard(0xf5);
        Assert.False(_controller.SendKey(KeyCode.KeyA, true));
        Assert.True(_controller.SendKey(KeyCode.KeyA, false));
    }

    [Fact]
    public void A_guest_that_does_not_read_loses_presses_but_no_releases()
    {
        Command(0x60, 0x00);
        var down = new List<KeyCode>();
        for (int i = 0; i < 2000; i++)
        {
            var key = (KeyCode)(1 + (i % 100));
            if (key != KeyCode.Pause && _controller.SendKey(key, true) && !down.Contains(key))
            {
                down.Add(key);
            }
        }

        Assert.False(_controller.SendKey(KeyCode.KeyA, true));
        _controller.ReleaseAllKeys();
        byte[] all = Drain();
        Assert.Equal(down.Count, all.Count(code => code == 0xf0) - (down.Contains(KeyCode.PrintScreen) ? 1 : 0));
        Assert.True(_controller.SendKey(KeyCode.KeyA, true));
    }

    [Fact]
    public void The_mouse_becomes_an_IntelliMouse_when_the_driver_knocks()
    {
        Command(0x60, 0x00);
        Assert.Equal([0xfa, 0xaa, 0x00], Mouse(0xff));
        Assert.Equal([0xfa, 0x00], Mouse(0xf2));
        Knock(200, 100, 80);
        Assert.Equal([0xfa, 0x03], Mouse(0xf2));
        Assert.False(_controller.SendPointer(1, 1, 0, PointerButtons.None));
        Mouse(0xf4);
        Assert.True(_controller.SendPointer(5, 7, -1, PointerButtons.Left));
        Assert.Equal([0x29, 5, 0xf9, 0xff], Drain());
        Knock(200, 200, 80);
        Assert.Equal([0xfa, 0x04], Mouse(0xf2));
        _controller.SendPointer(-300, 0, 1, PointerButtons.Forward);
        Assert.Equal([0x18, 0x01, 0x00, 0x21, 0x18, 0xd3, 0x00, 0x20], Drain());
        Assert.Equal([0xfa, 0x20, 2, 80], Mouse(0xe9));
    }

    [Fact]
    public void Movement_that_the_guest_does_not_read_adds_up()
    {
        Command(0x60, 0x00);
        Mouse(0xf4);
        for (int i = 0; i < 1000; i++)
        {
            _controller.SendPointer(1, -1, 0, PointerButtons.None);
        }

        byte[] packets = Drain();
        int x = 0, y = 0;
        for (int i = 0; i < packets.Length; i += 3)
        {
            x += packets[i + 1] - ((packets[i] & 0x10) << 4);
            y += packets[i + 2] - ((packets[i] & 0x20) << 3);
        }

        Assert.Equal((1000, 1000), (x, y));
    }

    [Fact]
    public void The_output_port_resets_the_machine_and_gates_A20()
    {
        Assert.Equal(0x03, Ask(0xd0) & 3);
        Command(0xd1, 0xdd);
        Assert.False(_a20.Enabled);
        Assert.Equal(0x01, Ask(0xd0) & 3);
        Command(0xd1, 0xdf);
        Assert.True(_a20.Enabled);
        Assert.Empty(_signals.Log);
        Command(0xff);
        Assert.Empty(_signals.Log);
        Command(0xfe);
        Command(0xd1, 0xde);
        Assert.Equal(["reset KeyboardController", "reset KeyboardController"], _signals.Log);
    }

    [Fact]
    public void State_survives_save_and_load()
    {
        Command(0x60, 0x43);
        Keyboard(0xed);
        Keyboard(0x02);
        Mouse(0xf4);
        _controller.SendKey(KeyCode.Delete, true);
        _controller.SendPointer(1, 2, 0, PointerButtons.Right);
        var state = _controller.Save();

        var router = new RecordingRouter();
        var other = new I8042(router.Line(1), router.Line(12), _a20, _signals);
        other.Load(state);
        Assert.Equivalent(state, other.Save(), strict: true);
        Assert.True(router[1]);
        Assert.False(other.SendKey(KeyCode.Delete, false));
        other.Input.Open();
        Assert.True(other.SendKey(KeyCode.Delete, false));
        Assert.Equal(2, other.Leds);
        Assert.Throws<InvalidDataException>(() => other.Load(state with { OutputFrom = 9 }));
        Assert.Throws<InvalidDataException>(() => other.Load(state with { Keyboard = state.Keyboard with { KeysDown = ["Nonsense"] } }));
        Assert.Throws<InvalidDataException>(() => other.Load(state with { Mouse = state.Mouse with { PreviousRates = [] } }));
    }

    [Theory]
    [InlineData("ctrl-alt-delete", "ControlLeft AltLeft Delete")]
    [InlineData("KeyA", "KeyA")]
    [InlineData("a", "KeyA")]
    [InlineData("shift+F1", "ShiftLeft F1")]
    [InlineData("5", "Digit5")]
    [InlineData("ctrl-x", "ControlLeft KeyX")]
    [InlineData("ctrl-", null)]
    [InlineData("none", null)]
    [InlineData("", null)]
    [InlineData("a-b-c-d-e-f-g-h-i", null)]
    public void Key_combinations_are_read_as_people_write_them(string text, string? expected)
    {
        Assert.Equal(expected is not null, KeyNames.TryParseCombination(text, out var keys));
        if (expected is not null)
        {
            Assert.Equal(expected, string.Join(' ', keys));
        }
    }

    [GeneratedRegex(@"^#define\s+(KEY_\w+)\s+(\d+)\s", RegexOptions.Multiline)]
    private static partial Regex LinuxKey();

    private static string LinuxName(KeyCode key)
    {
        string name = key.ToString();
        return key switch
        {
            KeyCode.Escape => "KEY_ESC",
            >= KeyCode.F1 and <= KeyCode.F12 => $"KEY_{name}",
            >= KeyCode.Digit1 and <= KeyCode.Digit0 or >= KeyCode.KeyQ and <= KeyCode.KeyP or >= KeyCode.KeyA and <= KeyCode.KeyL
                or >= KeyCode.KeyZ and <= KeyCode.KeyM => $"KEY_{name[^1]}",
            KeyCode.Backquote => "KEY_GRAVE",
            KeyCode.Quote => "KEY_APOSTROPHE",
            KeyCode.BracketLeft => "KEY_LEFTBRACE",
            KeyCode.BracketRight => "KEY_RIGHTBRACE",
            KeyCode.Period => "KEY_DOT",
            KeyCode.ShiftLeft => "KEY_LEFTSHIFT",
            KeyCode.ShiftRight => "KEY_RIGHTSHIFT",
            KeyCode.ControlLeft => "KEY_LEFTCTRL",
            KeyCode.AltLeft => "KEY_LEFTALT",
            KeyCode.IntlBackslash => "KEY_102ND",
            KeyCode.NumpadMultiply => "KEY_KPASTERISK",
            KeyCode.NumpadSubtract => "KEY_KPMINUS",
            KeyCode.NumpadAdd => "KEY_KPPLUS",
            KeyCode.NumpadDecimal => "KEY_KPDOT",
            >= KeyCode.Numpad0 and <= KeyCode.Numpad9 => $"KEY_KP{name[^1]}",
            KeyCode.Minus or KeyCode.Equal or KeyCode.Backspace or KeyCode.Tab or KeyCode.Backslash or KeyCode.CapsLock or KeyCode.Semicolon
                or KeyCode.Enter or KeyCode.Comma or KeyCode.Slash or KeyCode.Space or KeyCode.NumLock or KeyCode.ScrollLock =>
                    $"KEY_{name.ToUpperInvariant()}",
            _ => "",
        };
    }

    private void Knock(params byte[] rates)
    {
        foreach (byte rate in rates)
        {
            Assert.Equal([0xfa], Mouse(0xf3));
            Assert.Equal([0xfa], Mouse(rate));
        }
    }

    private byte Data() => (byte)_controller.PortWindows[0].Handler.ReadPort(0, 1);

    private byte Status() => (byte)_controller.PortWindows[1].Handler.ReadPort(0, 1);

    private void Command(byte command, params byte[] arguments)
    {
        _controller.PortWindows[1].Handler.WritePort(0, 1, command);
        foreach (byte argument in arguments)
        {
            _controller.PortWindows[0].Handler.WritePort(0, 1, argument);
        }
    }

    private byte Ask(byte command)
    {
        Command(command);
        Assert.Equal(1, Status() & 1);
        return Data();
    }

    private byte[] Keyboard(byte value)
    {
        _controller.PortWindows[0].Handler.WritePort(0, 1, value);
        return Drain();
    }

    private byte[] Mouse(byte value)
    {
        Command(0xd4, value);
        return Drain();
    }

    private byte[] Drain()
    {
        var data = new List<byte>();
        while ((Status() & 1) != 0)
        {
            data.Add(Data());
        }

        return [.. data];
    }
}
