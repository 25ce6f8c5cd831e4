using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Keys;

namespace WebVm.Vmm.Devices.Input.Ps2;

/// <summary>
/// A PS/2 keyboard with scan code sets 1 and 2 (IBM PS/2 technical reference, "Keyboard"). Auto-repeat is the host's; its rate is accepted
/// and ignored. The controller's lock protects it.
/// </summary>
internal sealed class Ps2Keyboard
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte SelfTestPassed = 0xaa;
    private const byte Echo = 0xee;

    private const int QueueCapacity = 2048;

    /// <summary>Beyond this many bytes no key goes down any more; the rest is room for the releases of all keys.</summary>
    private const int PressLimit = 512;

    private readonly ByteFifo _output = new(QueueCapacity);
    private readonly bool[] _down = new bool[256];
    private byte _awaitsArgumentOf;
    private byte _lastSent;
    private bool _scanning;
    private byte _scanCodeSet;
    private byte _leds;

    /// <summary>Scroll lock, num lock, caps lock: bits 0 to 2.</summary>
    public byte Leds => _leds;

    public bool HasOutput => _output.Count > 0;

    public void Reset()
    {
        _output.Clear();
        _awaitsArgumentOf = 0;
        _lastSent = 0;
        _leds = 0;
        SetDefaults();
        _scanning = true;
    }

    public byte TakeOutput() => _lastSent = _output.Pop();

    /// <summary>A key went down or up.</summary>
    /// <returns>False when the guest does not take it now. A key of which there is nothing to send is taken.</returns>
    public bool Send(KeyCode key, bool pressed)
    {
        if (!pressed && !_down[(int)key])
        {
            return true;
        }

        if (!_scanning || (pressed && _output.Count > PressLimit))
        {
            return false;
        }

        _down[(int)key] = pressed;
        Span<byte> sequence = stackalloc byte[ScanCodes.LongestSequence];
        int length = ScanCodes.Encode(key, pressed, sequence);
        bool broken = false;
        foreach (byte code in sequence[..length])
        {
            if (_scanCodeSet == 2)
            {
                _output.TryPush(code);
            }
            else if (code == ScanCodes.Break)
            {
                broken = true;
            }
            else
            {
                _output.TryPush((byte)(ScanCodes.Translate(code) | (broken ? 0x80 : 0)));
                broken = false;
            }
        }

        return true;
    }

    public void ReleaseAll()
    {
        for (int key = 0; key < _down.Length; key++)
        {
            if (_down[key])
            {
                Send((KeyCode)key, pressed: false);
                _down[key] = false;
            }
        }
    }

    /// <summary>A byte from the controller: a command or its argument.</summary>
    public void Receive(byte value)
    {
        byte command = _awaitsArgumentOf;
        _awaitsArgumentOf = 0;
        // A byte above the arguments' range is a new command, and the old one is given up.
        if (command != 0 && value < 0xed)
        {
            ReceiveArgument(command, value);
            return;
        }

        switch (value)
        {
            case 0xed: // LEDs
            case 0xf0: // scan code set
            case 0xf3: // typematic rate and delay
            case 0xfb or 0xfc or 0xfd: // key types of set 3
                _awaitsArgumentOf = value;
                Reply(Acknowledge);
                break;
            case 0xee:
                Reply(Echo);
                break;
            case 0xf2:
                Reply(Acknowledge, 0xab, 0x83);
                break;
            case 0xf4:
                _scanning = true;
                Reply(Acknowledge);
                break;
            case 0xf5:
                SetDefaults();
                _scanning = false;
                Reply(Acknowledge);
                break;
            case 0xf6:
                SetDefaults();
                Reply(Acknowledge);
                break;
            case 0xf7 or 0xf8 or 0xf9 or 0xfa: // all keys' types of set 3
                Reply(Acknowledge);
                break;
            case 0xfe:
                Reply(_lastSent);
                break;
            case 0xff:
                Reset();
                Reply(Acknowledge, SelfTestPassed);
                break;
            default:
                Reply(Resend);
                break;
        }
    }

    public Ps2KeyboardState Save() => new(_output.ToArray(), _awaitsArgumentOf, _lastSent, _scanning, _scanCodeSet, _leds,
        [.. Enumerable.Range(0, _down.Length).Where(key => _down[key]).Select(key => ((KeyCode)key).ToString())]);

    public static void Validate(Ps2KeyboardState state)
    {
        if (state.Output.Length > QueueCapacity || state.ScanCodeSet is not (1 or 2)
            || state.KeysDown.Any(name => !Enum.TryParse<KeyCode>(name, out _)))
        {
            throw new InvalidDataException("The saved state of the keyboard contradicts itself.");
        }
    }

    public void Load(Ps2KeyboardState state)
    {
        _output.Clear();
        _output.Push(state.Output);
        _awaitsArgumentOf = state.AwaitsArgumentOf;
        _lastSent = state.LastSent;
        _scanning = state.Scanning;
        _scanCodeSet = state.ScanCodeSet;
        _leds = (byte)(state.Leds & 7);
        Array.Clear(_down);
        foreach (string name in state.KeysDown)
        {
            _down[(int)Enum.Parse<KeyCode>(name)] = true;
        }
    }

    private void ReceiveArgument(byte command, byte value)
    {
        switch (command)
        {
            case 0xed:
                _leds = (byte)(value & 7);
                Reply(Acknowledge);
                break;
            case 0xf0 when value == 0:
                Reply(Acknowledge, _scanCodeSet);
                break;
            case 0xf0 when value is 1 or 2:
                _scanCodeSet = value;
                Reply(Acknowledge);
                break;
            case 0xf0:
                Reply(Resend);
                break;
            default:
                Reply(Acknowledge);
                break;
        }
    }

    private void SetDefaults()
    {
        _scanCodeSet = 2;
        Array.Clear(_down);
    }

    /// <summary>A reply takes the place of keys that were not sent yet, as the guest waits for it.</summary>
    private void Reply(params ReadOnlySpan<byte> bytes)
    {
        if (_output.Free < bytes.Length || _output.Count > PressLimit)
        {
            _output.Clear();
        }

        _output.Push(bytes);
    }
}

/// <summary>Saved state of the keyboard.</summary>
public sealed record Ps2KeyboardState(
    byte[] Output, byte AwaitsArgumentOf, byte LastSent, bool Scanning, byte ScanCodeSet, byte Leds, string[] KeysDown);
