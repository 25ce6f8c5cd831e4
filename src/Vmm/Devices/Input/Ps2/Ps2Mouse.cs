using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Input.Ps2;

/// <summary>
/// A PS/2 mouse that becomes an IntelliMouse (wheel) or an IntelliMouse Explorer (wheel, five buttons) when the driver knocks by setting
/// three sample rates. The controller's lock protects it.
/// </summary>
internal sealed class Ps2Mouse
{
    private const byte Acknowledge = 0xfa;
    private const byte Resend = 0xfe;
    private const byte SelfTestPassed = 0xaa;

    private const byte StandardId = 0;
    private const byte WheelId = 3;
    private const byte FiveButtonsId = 4;

    private const int QueueCapacity = 64;

    /// <summary>
    /// Movement that was not reported yet is kept up to this, in counts: a guest that reads late sees where the pointer went.
    /// </summary>
    private const int LargestPending = 32768;

    private readonly ByteFifo _output = new(QueueCapacity);
    private byte _awaitsArgumentOf;
    private byte _lastSent;
    private byte _id;
    private byte _sampleRate;
    private byte _previousRate;
    private byte _rateBefore;
    private byte _resolution;
    private bool _reporting;
    private bool _remote;
    private bool _wrap;
    private bool _doubled;
    private int _deltaX;
    private int _deltaY;
    private int _wheel;
    private PointerButtons _buttons;
    private PointerButtons _reportedButtons;

    public bool HasOutput => _output.Count > 0;

    public void Reset()
    {
        _output.Clear();
        _awaitsArgumentOf = 0;
        _lastSent = 0;
        _id = StandardId;
        _wrap = false;
        _buttons = PointerButtons.None;
        _previousRate = _rateBefore = 0;
        SetDefaults();
    }

    public byte TakeOutput()
    {
        _lastSent = _output.Pop();
        if (_output.Count == 0)
        {
            Report();
        }

        return _lastSent;
    }

    public bool Move(int deltaX, int deltaY, int wheel, PointerButtons buttons)
    {
        if (!_reporting && !_remote)
        {
            return false;
        }

        _deltaX = Accumulate(_deltaX, deltaX);
        _deltaY = Accumulate(_deltaY, deltaY);
        _wheel = Accumulate(_wheel, wheel);
        _buttons = buttons;
        Report();
        return true;
    }

    /// <summary>A byte from the controller: a command or its argument.</summary>
    public void Receive(byte value)
    {
        if (_wrap && value is not (0xec or 0xff))
        {
            Reply(value);
            return;
        }

        byte command = _awaitsArgumentOf;
        _awaitsArgumentOf = 0;
        if (command == 0xf3)
        {
            SetSampleRate(value);
            Reply(Acknowledge);
            return;
        }

        if (command == 0xe8)
        {
            _resolution = (byte)(value & 3);
            Reply(Acknowledge);
            return;
        }

        ReceiveCommand(value);
    }

    public Ps2MouseState Save() => new()
    {
        Output = _output.ToArray(),
        AwaitsArgumentOf = _awaitsArgumentOf,
        LastSent = _lastSent,
        Id = _id,
        SampleRate = _sampleRate,
        PreviousRates = [_rateBefore, _previousRate],
        Resolution = _resolution,
        Reporting = _reporting,
        Remote = _remote,
        Wrap = _wrap,
        Doubled = _doubled,
        Buttons = (byte)_buttons,
    };

    public static void Validate(Ps2MouseState state)
    {
        if (state.Output.Length > QueueCapacity || state.PreviousRates.Length != 2
            || state.Id is not (StandardId or WheelId or FiveButtonsId))
        {
            throw new InvalidDataException("The saved state of the mouse contradicts itself.");
        }
    }

    public void Load(Ps2MouseState state)
    {
        _output.Clear();
        _output.Push(state.Output);
        _awaitsArgumentOf = state.AwaitsArgumentOf;
        _lastSent = state.LastSent;
        _id = state.Id;
        _sampleRate = state.SampleRate;
        _rateBefore = state.PreviousRates[0];
        _previousRate = state.PreviousRates[1];
        _resolution = (byte)(state.Resolution & 3);
        _reporting = state.Reporting;
        _remote = state.Remote;
        _wrap = state.Wrap;
        _doubled = state.Doubled;
        _buttons = _reportedButtons = (PointerButtons)state.Buttons & PointerButtons.All;
        _deltaX = _deltaY = _wheel = 0;
    }

    private static int Accumulate(int pending, int delta) => (int)Math.Clamp((long)pending + delta, -LargestPending, LargestPending);

    private void ReceiveCommand(byte command)
    {
        switch (command)
        {
            case 0xe6:
            case 0xe7:
                _doubled = command == 0xe7;
                Reply(Acknowledge);
                break;
            case 0xe8: // resolution
            case 0xf3: // sample rate
                _awaitsArgumentOf = command;
                Reply(Acknowledge);
                break;
            case 0xe9:
                Reply(Acknowledge, Status(), _resolution, _sampleRate);
                break;
            case 0xea:
                _remote = false;
                Reply(Acknowledge);
                break;
            case 0xeb:
                Reply(Acknowledge);
                PushPacket();
                break;
            case 0xec:
                _wrap = false;
                Reply(Acknowledge);
                break;
            case 0xee:
                _wrap = true;
                Reply(Acknowledge);
                break;
            case 0xf0:
                _remote = true;
                Reply(Acknowledge);
                break;
            case 0xf2:
                Reply(Acknowledge, _id);
                break;
            case 0xf4:
                _reporting = true;
                Reply(Acknowledge);
                break;
            case 0xf5:
                _reporting = false;
                Reply(Acknowledge);
                break;
            case 0xf6:
                SetDefaults();
                Reply(Acknowledge);
                break;
            case 0xfe:
                Reply(_lastSent);
                break;
            case 0xff:
                Reset();
                Reply(Acknowledge, SelfTestPassed, StandardId);
                break;
            default:
                Reply(Resend);
                break;
        }
    }

    private void SetSampleRate(byte rate)
    {
        // The knock: 200, 100, 80 for the wheel, 200, 200, 80 for five buttons.
        if (rate == 80 && _rateBefore == 200)
        {
            _id = _previousRate switch { 100 => WheelId, 200 => FiveButtonsId, _ => _id };
        }

        _rateBefore = _previousRate;
        _previousRate = rate;
        _sampleRate = rate;
    }

    private void SetDefaults()
    {
        _sampleRate = 100;
        _resolution = 2;
        _reporting = false;
        _remote = false;
        _doubled = false;
        _deltaX = _deltaY = _wheel = 0;
        _reportedButtons = _buttons;
    }

    private byte Status() => (byte)((_remote ? 0x40 : 0) | (_reporting ? 0x20 : 0) | (_doubled ? 0x10 : 0)
        | ((_buttons & PointerButtons.Left) != 0 ? 4 : 0) | ((_buttons & PointerButtons.Middle) != 0 ? 2 : 0)
            | ((_buttons & PointerButtons.Right) != 0 ? 1 : 0));

    /// <summary>Sends packets until all is told, or the guest has to read first.</summary>
    private void Report()
    {
        while (_reporting && !_remote && _output.Free >= 2 * 4
            && (_deltaX != 0 || _deltaY != 0 || (_wheel != 0 && _id != StandardId) || _buttons != _reportedButtons))
        {
            PushPacket();
        }
    }

    private void PushPacket()
    {
        int x = Math.Clamp(_deltaX, -255, 255);
        // The mouse counts upwards.
        int y = Math.Clamp(-_deltaY, -255, 255);
        int wheel = Math.Clamp(_wheel, -8, 7);
        _deltaX -= x;
        _deltaY += y;
        _wheel = _id == StandardId ? 0 : _wheel - wheel;
        _reportedButtons = _buttons;
        byte first = (byte)(0x08 | ((byte)_buttons & 7) | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0));
        switch (_id)
        {
            case WheelId:
                Reply(first, (byte)x, (byte)y, (byte)wheel);
                break;
            case FiveButtonsId:
                Reply(first, (byte)x, (byte)y, (byte)((wheel & 0x0f) | (((byte)_buttons & 0x18) << 1)));
                break;
            default:
                Reply(first, (byte)x, (byte)y);
                break;
        }
    }

    private void Reply(params ReadOnlySpan<byte> bytes)
    {
        if (_output.Free < bytes.Length)
        {
            _output.Clear();
        }

        _output.Push(bytes);
    }
}

/// <summary>Saved state of the mouse.</summary>
public sealed record Ps2MouseState
{
    public required byte[] Output { get; init; }

    public required byte AwaitsArgumentOf { get; init; }

    public required byte LastSent { get; init; }

    public required byte Id { get; init; }

    public required byte SampleRate { get; init; }

    public required byte[] PreviousRates { get; init; }

    public required byte Resolution { get; init; }

    public required bool Reporting { get; init; }

    public required bool Remote { get; init; }

    public required bool Wrap { get; init; }

    public required bool Doubled { get; init; }

    public required byte Buttons { get; init; }
}
