using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Keys;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Input.Ps2;

/// <summary>
/// The PS/2 keyboard controller with a keyboard and a mouse behind it (IBM PS/2 technical reference, "Keyboard and auxiliary device
/// controller"). Its output port resets the machine and gates A20.
/// </summary>
public sealed class I8042 : IDevice, IPortMapped, IFirmwareVisible, IKeyboardInput, IPointerInput, ISavedState<I8042.State>
{
    public const ushort DataPort = 0x60;
    public const ushort CommandPort = DataPort + 4;
    public const int KeyboardGsi = 1;
    public const int MouseGsi = 12;

    private const int ReplyCapacity = 16;

    [Flags]
    private enum Status : byte
    {
        OutputFull = 1 << 0,
        SystemFlag = 1 << 2,
        LastWasCommand = 1 << 3,
        NotLocked = 1 << 4,
        MouseOutput = 1 << 5,
    }

    [Flags]
    private enum Command : byte
    {
        KeyboardInterrupt = 1 << 0,
        MouseInterrupt = 1 << 1,
        SystemFlag = 1 << 2,
        KeyboardDisabled = 1 << 4,
        MouseDisabled = 1 << 5,
        Translate = 1 << 6,
        Writable = 0x77,
    }

    private enum Source : byte
    {
        None,
        Controller,
        Keyboard,
        Mouse,
    }

    private readonly Lock _lock = new();
    private readonly InterruptLine.Source _keyboardInterrupt;
    private readonly InterruptLine.Source _mouseInterrupt;
    private readonly A20Gate _a20;
    private readonly IMachineSignals _signals;
    private readonly Ps2Keyboard _keyboard = new();
    private readonly Ps2Mouse _mouse = new();

    /// <summary>The controller's own answers: they go before those of the devices.</summary>
    private readonly ByteFifo _replies = new(ReplyCapacity);
    private Command _command;
    private byte _output;
    private Source _outputFrom;
    private bool _lastWasCommand;
    private bool _translatingBreak;

    /// <summary>The command whose argument comes with the next write to the data port; 0 for none.</summary>
    private byte _awaitsArgumentOf;

    public I8042(InterruptLine keyboardLine, InterruptLine mouseLine, A20Gate a20, IMachineSignals signals)
    {
        _keyboardInterrupt = keyboardLine.CreateSource();
        _mouseInterrupt = mouseLine.CreateSource();
        _a20 = a20;
        _signals = signals;
        PortWindows =
        [
            new PortWindow(DataPort, 1, new DataHandler(this)),
            new PortWindow(CommandPort, 1, new CommandHandler(this)),
        ];
        Reset();
    }

    public string Name { get; init; } = "i8042";

    public StateSchema<State> Schema => I8042StateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows { get; }

    public InputGate Input { get; } = new();

    /// <summary>Lights of the keyboard: scroll lock, num lock, caps lock are bits 0 to 2.</summary>
    public byte Leds
    {
        get
        {
            lock (_lock)
            {
                return _keyboard.Leds;
            }
        }
    }

    public void Describe(FirmwareDescription firmware)
    {
        firmware.Acpi.SystemBus.Add(
            AmlDevices.Create("KBD", "PNP0303", new AmlIoPort(DataPort, 1), new AmlIoPort(CommandPort, 1), new AmlIrq(KeyboardGsi)));
        firmware.Acpi.SystemBus.Add(AmlDevices.Create("MOU", "PNP0F13", new AmlIrq(MouseGsi)));
        firmware.Acpi.FixedHardware.KeyboardController = true;
        firmware.PointingDevice = true;
    }

    public void Reset()
    {
        lock (_lock)
        {
            _keyboard.Reset();
            _mouse.Reset();
            _replies.Clear();
            _command = Command.KeyboardInterrupt | Command.MouseInterrupt | Command.Translate;
            _outputFrom = Source.None;
            _output = 0;
            _lastWasCommand = false;
            _translatingBreak = false;
            _awaitsArgumentOf = 0;
            UpdateInterrupts();
        }
    }

    public bool SendKey(KeyCode key, bool pressed)
    {
        using var entry = Input.Enter();
        if (!entry.Granted)
        {
            return false;
        }

        lock (_lock)
        {
            bool sent = _keyboard.Send(key, pressed);
            FillOutput();
            return sent;
        }
    }

    public void ReleaseAllKeys()
    {
        using var entry = Input.Enter();
        if (entry.Granted)
        {
            lock (_lock)
            {
                _keyboard.ReleaseAll();
                FillOutput();
            }
        }
    }

    public bool SendPointer(int deltaX, int deltaY, int wheel, PointerButtons buttons)
    {
        using var entry = Input.Enter();
        if (!entry.Granted)
        {
            return false;
        }

        lock (_lock)
        {
            bool sent = _mouse.Move(deltaX, deltaY, wheel, buttons);
            FillOutput();
            return sent;
        }
    }

    public State Save()
    {
        lock (_lock)
        {
            return new State
            {
                Command = (byte)_command,
                Output = _output,
                OutputFrom = (byte)_outputFrom,
                LastWasCommand = _lastWasCommand,
                TranslatingBreak = _translatingBreak,
                AwaitsArgumentOf = _awaitsArgumentOf,
                Replies = _replies.ToArray(),
                Keyboard = _keyboard.Save(),
                Mouse = _mouse.Save(),
            };
        }
    }

    public void Load(State state)
    {
        if (state.Replies.Length > ReplyCapacity || state.OutputFrom > (byte)Source.Mouse)
        {
            throw new InvalidDataException("The saved state of the keyboard controller contradicts itself.");
        }

        Ps2Keyboard.Validate(state.Keyboard);
        Ps2Mouse.Validate(state.Mouse);
        lock (_lock)
        {
            _command = (Command)state.Command & Command.Writable;
            _output = state.Output;
            _outputFrom = (Source)state.OutputFrom;
            _lastWasCommand = state.LastWasCommand;
            _translatingBreak = state.TranslatingBreak;
            _awaitsArgumentOf = state.AwaitsArgumentOf;
            _replies.Clear();
            _replies.Push(state.Replies);
            _keyboard.Load(state.Keyboard);
            _mouse.Load(state.Mouse);
            UpdateInterrupts();
        }
    }

    private byte ReadData()
    {
        lock (_lock)
        {
            // The last byte stays readable; the next one arrives with an edge of its own.
            _outputFrom = Source.None;
            UpdateInterrupts();
            byte value = _output;
            FillOutput();
            return value;
        }
    }

    private byte ReadStatus()
    {
        lock (_lock)
        {
            var status = Status.NotLocked;
            status |= _outputFrom != Source.None ? Status.OutputFull : 0;
            status |= _outputFrom == Source.Mouse ? Status.MouseOutput : 0;
            status |= (_command & Command.SystemFlag) != 0 ? Status.SystemFlag : 0;
            status |= _lastWasCommand ? Status.LastWasCommand : 0;
            return (byte)status;
        }
    }

    private void WriteData(byte value)
    {
        lock (_lock)
        {
            _lastWasCommand = false;
            byte command = _awaitsArgumentOf;
            _awaitsArgumentOf = 0;
            switch (command)
            {
                case 0x60:
                    _command = (Command)value & Command.Writable;
                    break;
                case 0xd1:
                    WriteOutputPort(value);
                    break;
                case 0xd2:
                    SetOutput(value, Source.Keyboard);
                    break;
                case 0xd3:
                    SetOutput(value, Source.Mouse);
                    break;
                case 0xd4:
                    // Talking to a device enables its clock (both here and below).
                    _command &= ~Command.MouseDisabled;
                    _mouse.Receive(value);
                    break;
                default:
                    _command &= ~Command.KeyboardDisabled;
                    _keyboard.Receive(value);
                    break;
            }

            FillOutput();
            UpdateInterrupts();
        }
    }

    private void WriteCommand(byte value)
    {
        lock (_lock)
        {
            _lastWasCommand = true;
            _awaitsArgumentOf = 0;
            switch (value)
            {
                case 0x20:
                    Reply((byte)_command);
                    break;
                case 0x60 or 0xd1 or 0xd2 or 0xd3 or 0xd4:
                    _awaitsArgumentOf = value;
                    break;
                case 0xa7:
                    _command |= Command.MouseDisabled;
                    break;
                case 0xa8:
                    _command &= ~Command.MouseDisabled;
                    break;
                case 0xa9 or 0xab: // interface tests: no fault
                    Reply(0x00);
                    break;
                case 0xaa:
                    _command |= Command.SystemFlag;
                    Reply(0x55);
                    break;
                case 0xad:
                    _command |= Command.KeyboardDisabled;
                    break;
                case 0xae:
                    _command &= ~Command.KeyboardDisabled;
                    break;
                case 0xc0: // input port: keyboard not locked, no manufacturing mode
                    Reply(0xa0);
                    break;
                case 0xd0:
                    Reply((byte)(1 | (_a20.Enabled ? 2 : 0) | (_outputFrom is Source.Keyboard or Source.Controller ? 0x10 : 0)
                        | (_outputFrom == Source.Mouse ? 0x20 : 0)));
                    break;
                case 0xdd:
                    _a20.Enabled = false;
                    break;
                case 0xdf:
                    _a20.Enabled = true;
                    break;
                case >= 0xf0 when (value & 1) == 0: // pulses output port bits that are 0; bit 0 is the reset line
                    _signals.Reset(ResetKind.KeyboardController);
                    break;
                default:
                    break;
            }

            FillOutput();
            UpdateInterrupts();
        }
    }

    private void WriteOutputPort(byte value)
    {
        _a20.Enabled = (value & 2) != 0;
        if ((value & 1) == 0)
        {
            _signals.Reset(ResetKind.KeyboardController);
        }
    }

    private void Reply(byte value) => _replies.TryPush(value);

    /// <summary>Puts the next byte into the output buffer, if that is free.</summary>
    private void FillOutput()
    {
        while (_outputFrom == Source.None)
        {
            if (_replies.Count > 0)
            {
                SetOutput(_replies.Pop(), Source.Controller);
            }
            else if (_keyboard.HasOutput && (_command & Command.KeyboardDisabled) == 0)
            {
                byte code = _keyboard.TakeOutput();
                if ((_command & Command.Translate) == 0)
                {
                    SetOutput(code, Source.Keyboard);
                }
                else if (code == ScanCodes.Break)
                {
                    _translatingBreak = true;
                }
                else
                {
                    SetOutput((byte)(ScanCodes.Translate(code) | (_translatingBreak ? 0x80 : 0)), Source.Keyboard);
                    _translatingBreak = false;
                }
            }
            else if (_mouse.HasOutput && (_command & Command.MouseDisabled) == 0)
            {
                SetOutput(_mouse.TakeOutput(), Source.Mouse);
            }
            else
            {
                return;
            }
        }
    }

    private void SetOutput(byte value, Source from)
    {
        _output = value;
        _outputFrom = from;
        UpdateInterrupts();
    }

    private void UpdateInterrupts()
    {
        // The controller's own answers raise the keyboard's interrupt too, as on the PS/2.
        _keyboardInterrupt.Set(_outputFrom is Source.Keyboard or Source.Controller && (_command & Command.KeyboardInterrupt) != 0);
        _mouseInterrupt.Set(_outputFrom == Source.Mouse && (_command & Command.MouseInterrupt) != 0);
    }

    private sealed class DataHandler(I8042 controller) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => controller.ReadData();

        public void WritePort(int offset, int size, uint value) => controller.WriteData((byte)value);
    }

    private sealed class CommandHandler(I8042 controller) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => controller.ReadStatus();

        public void WritePort(int offset, int size, uint value) => controller.WriteCommand((byte)value);
    }

    /// <summary>Saved state of controller, keyboard and mouse.</summary>
    public sealed record State
    {
        public required byte Command { get; init; }

        public required byte Output { get; init; }

        public required byte OutputFrom { get; init; }

        public required bool LastWasCommand { get; init; }

        public required bool TranslatingBreak { get; init; }

        public required byte AwaitsArgumentOf { get; init; }

        public required byte[] Replies { get; init; }

        public required Ps2KeyboardState Keyboard { get; init; }

        public required Ps2MouseState Mouse { get; init; }
    }
}
