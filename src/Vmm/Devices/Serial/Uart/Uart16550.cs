using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>
/// A 16550A UART (National Semiconductor PC16550D data sheet) on a line without a bit rate: what the guest writes leaves as soon as the
/// back end takes it, and while the back end takes nothing the transmitter stays busy.
/// </summary>
/// <remarks>
/// As the line is infinitely fast, it has always been idle for four character times when the guest looks: received data below
/// the trigger level raises the character timeout interrupt at once.
/// </remarks>
public sealed partial class Uart16550 : IDevice, IPortMapped, IPortHandler, ISerialPort, IFirmwareVisible, IMeasured, ISavedState<UartState>
{
    private const int FifoDepth = 16;
    private const byte DivisorLatchAccess = 1 << 7;
    private const ushort PowerOnDivisor = 12; // 9600 bit/s

    private readonly Lock _lock = new();
    private readonly ushort _port;
    private readonly InterruptLine.Source _interrupt;
    private readonly ISerialBackend? _backend;
    private readonly ByteFifo _received = new(FifoDepth);
    private readonly ByteFifo _transmitting = new(FifoDepth);

    private UartInterrupts _enabled;
    private UartFifoControl _fifoControl;
    private byte _lineControl;
    private UartModemControl _modemControl;
    private UartLineStatus _lineErrors;
    private UartModemStatus _modemStatus;
    private byte _scratch;
    private ushort _divisor = PowerOnDivisor;
    private bool _transmitterInterrupt;
    private bool _carrier = true;
    private bool _refusedInput;
    private long _bytesSent;
    private long _bytesReceived;

    /// <param name="backend">The far end, or null for a port with nothing connected.</param>
    public Uart16550(string name, ushort port, InterruptLine line, ISerialBackend? backend)
    {
        Name = name;
        _port = port;
        _interrupt = line.CreateSource();
        _backend = backend;
        backend?.Connect(this);
        Reset();
    }

    public string Name { get; }

    public StateSchema<UartState> Schema => UartStateJson.Schema;

    public IReadOnlyList<DeviceMetric> Metrics
    {
        get
        {
            lock (_lock)
            {
                return [new("bytesReceived", _bytesReceived), new("bytesSent", _bytesSent)];
            }
        }
    }

    public InputGate Input { get; } = new();

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(_port, UartRegisters.Count, this) { Width = 1 }];

    private bool FifosEnabled => (_fifoControl & UartFifoControl.Enable) != 0;

    private bool DivisorLatch => (_lineControl & DivisorLatchAccess) != 0;

    private bool Loopback => (_modemControl & UartModemControl.Loopback) != 0;

    private int TriggerLevel => FifosEnabled ? ((byte)_fifoControl >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 } : 1;

    public void Describe(FirmwareDescription firmware)
    {
        int number = firmware.AddSerialPort(_port);
        firmware.Acpi.SystemBus.Add(
            AmlDevices.Create($"COM{number:X}", "PNP0501", number, new AmlIoPort(_port, UartRegisters.Count), new AmlIrq(_interrupt.Gsi)));
    }

    public void Reset()
    {
        lock (_lock)
        {
            _enabled = 0;
            _fifoControl = 0;
            _lineControl = 0;
            _modemControl = 0;
            _lineErrors = 0;
            _scratch = 0;
            _divisor = PowerOnDivisor;
            _transmitterInterrupt = false;
            _received.Clear();
            _transmitting.Clear();
            _modemStatus = ModemLines();
            UpdateInterrupt();
        }
    }

    public void Start()
    {
        lock (_lock)
        {
            UpdateModemStatus();
            Transmit();
            UpdateInterrupt();
        }

        _backend?.InputReady();
    }

    public uint ReadPort(int offset, int size)
    {
        byte value;
        bool hasRoom;
        lock (_lock)
        {
            switch (offset)
            {
                case UartRegisters.Data when DivisorLatch:
                    value = (byte)_divisor;
                    break;
                case UartRegisters.Data:
                    value = _received.Count > 0 ? _received.Pop() : (byte)0;
                    break;
                case UartRegisters.InterruptEnable:
                    value = DivisorLatch ? (byte)(_divisor >> 8) : (byte)_enabled;
                    break;
                case UartRegisters.InterruptIdentification:
                    byte cause = Cause();
                    value = (byte)(cause | (FifosEnabled ? UartCause.FifosEnabled : 0));
                    // Reading the cause answers this one interrupt, and no other (table V).
                    _transmitterInterrupt &= cause != UartCause.TransmitterEmpty;
                    break;
                case UartRegisters.LineControl:
                    value = _lineControl;
                    break;
                case UartRegisters.ModemControl:
                    value = (byte)_modemControl;
                    break;
                case UartRegisters.LineStatus:
                    value = (byte)LineStatus();
                    _lineErrors = 0;
                    break;
                case UartRegisters.ModemStatus:
                    value = (byte)_modemStatus;
                    _modemStatus &= ~UartModemStatus.Deltas;
                    break;
                default:
                    value = _scratch;
                    break;
            }

            UpdateInterrupt();
            hasRoom = TakeRoom();
        }

        if (hasRoom)
        {
            _backend?.InputReady();
        }

        return value;
    }

    public void WritePort(int offset, int size, uint value)
    {
        bool hasRoom;
        lock (_lock)
        {
            byte data = (byte)value;
            switch (offset)
            {
                case UartRegisters.Data when DivisorLatch:
                    _divisor = (ushort)((_divisor & 0xff00) | data);
                    break;
                case UartRegisters.Data:
                    WriteData(data);
                    break;
                case UartRegisters.InterruptEnable when DivisorLatch:
                    _divisor = (ushort)((_divisor & 0xff) | (data << 8));
                    break;
                case UartRegisters.InterruptEnable:
                    WriteInterruptEnable((UartInterrupts)data & UartInterrupts.All);
                    break;
                case UartRegisters.InterruptIdentification:
                    WriteFifoControl((UartFifoControl)data);
                    break;
                case UartRegisters.LineControl:
                    _lineControl = data;
                    break;
                case UartRegisters.ModemControl:
                    _modemControl = (UartModemControl)data & UartModemControl.All;
                    UpdateModemStatus();
                    break;
                case UartRegisters.Scratch:
                    _scratch = data;
                    break;
                default:
                    break; // The status registers are for factory tests only.
            }

            UpdateInterrupt();
            hasRoom = TakeRoom();
        }

        if (hasRoom)
        {
            _backend?.InputReady();
        }
    }

    public int Deliver(ReadOnlySpan<byte> data)
    {
        using var entry = Input.Enter();
        lock (_lock)
        {
            int taken = 0;
            if (entry.Granted && !Loopback)
            {
                int room = (FifosEnabled ? FifoDepth : 1) - _received.Count;
                taken = _received.Push(data[..Math.Min(data.Length, Math.Max(room, 0))]);
                _bytesReceived += taken;
                UpdateInterrupt();
            }

            _refusedInput |= taken < data.Length;
            return taken;
        }
    }

    public void OutputReady()
    {
        using var entry = Input.Enter();
        if (entry.Granted)
        {
            lock (_lock)
            {
                Transmit();
                UpdateInterrupt();
            }
        }
    }

    public void SendBreak()
    {
        using var entry = Input.Enter();
        if (entry.Granted)
        {
            lock (_lock)
            {
                if (!Loopback)
                {
                    // A break arrives as a zero character (data sheet §8.3, bit 4).
                    _received.TryPush(0);
                    _lineErrors |= UartLineStatus.Break;
                    UpdateInterrupt();
                }
            }
        }
    }

    public void SetCarrier(bool present)
    {
        using var entry = Input.Enter();
        lock (_lock)
        {
            // The line itself changes at any time; a port that stands still sees it when it goes on.
            _carrier = present;
            if (entry.Granted)
            {
                UpdateModemStatus();
                UpdateInterrupt();
            }
        }
    }

    public UartState Save()
    {
        lock (_lock)
        {
            return new UartState
            {
                InterruptEnable = (byte)_enabled,
                FifoControl = (byte)_fifoControl,
                LineControl = _lineControl,
                ModemControl = (byte)_modemControl,
                LineErrors = (byte)_lineErrors,
                ModemStatus = (byte)_modemStatus,
                Scratch = _scratch,
                Divisor = _divisor,
                TransmitterInterrupt = _transmitterInterrupt,
                Received = _received.ToArray(),
                Transmitting = _transmitting.ToArray(),
            };
        }
    }

    public void Load(UartState state)
    {
        if (state.Received.Length > FifoDepth || state.Transmitting.Length > FifoDepth)
        {
            throw new InvalidDataException("A FIFO of the UART holds more than 16 bytes.");
        }

        lock (_lock)
        {
            _enabled = (UartInterrupts)state.InterruptEnable & UartInterrupts.All;
            _fifoControl = (UartFifoControl)state.FifoControl & (UartFifoControl.Enable | UartFifoControl.DmaMode
                | UartFifoControl.TriggerMask);
            _lineControl = state.LineControl;
            _modemControl = (UartModemControl)state.ModemControl & UartModemControl.All;
            _lineErrors = (UartLineStatus)state.LineErrors & UartLineStatus.Errors;
            _modemStatus = (UartModemStatus)state.ModemStatus;
            _scratch = state.Scratch;
            _divisor = state.Divisor;
            _transmitterInterrupt = state.TransmitterInterrupt;
            _received.Clear();
            _received.Push(state.Received);
            _transmitting.Clear();
            _transmitting.Push(state.Transmitting);
            UpdateInterrupt();
        }
    }

    /// <summary>Whether the back end, once refused, should try again now.</summary>
    private bool TakeRoom()
    {
        bool hasRoom = _refusedInput && _received.Count == 0 && !Loopback;
        _refusedInput &= !hasRoom;
        return hasRoom;
    }

    private void WriteData(byte data)
    {
        _transmitterInterrupt = false;
        if (Loopback)
        {
            if (_received.Count >= (FifosEnabled ? FifoDepth : 1))
            {
                _lineErrors |= UartLineStatus.Overrun;
            }
            else
            {
                _received.TryPush(data);
            }

            _transmitterInterrupt = true;
            return;
        }

        // Into a full transmitter, data is lost: the guest did not look at the line status.
        if (_transmitting.Count < (FifosEnabled ? FifoDepth : 1))
        {
            _transmitting.TryPush(data);
        }

        Transmit();
    }

    private void WriteInterruptEnable(UartInterrupts enabled)
    {
        // Enabling the transmitter's interrupt while it is empty raises it (drivers start transmission this way).
        if ((enabled & ~_enabled & UartInterrupts.TransmitterEmpty) != 0 && _transmitting.Count == 0)
        {
            _transmitterInterrupt = true;
        }

        _enabled = enabled;
    }

    private void WriteFifoControl(UartFifoControl control)
    {
        bool toggled = ((control ^ _fifoControl) & UartFifoControl.Enable) != 0;
        if (toggled || (control & UartFifoControl.ClearReceiver) != 0)
        {
            _received.Clear();
            _lineErrors = 0;
        }

        if (toggled || (control & UartFifoControl.ClearTransmitter) != 0)
        {
            // What was written before has left the guest as far as it can tell; it is only dropped when the back end is stuck.
            Transmit();
            _transmitting.Clear();
            _transmitterInterrupt = true;
        }

        // The other bits can only be written together with the enable bit (data sheet §8.4).
        _fifoControl = (control & UartFifoControl.Enable) != 0
            ? control & (UartFifoControl.Enable | UartFifoControl.DmaMode | UartFifoControl.TriggerMask)
            : 0;
    }

    /// <summary>Passes on what the back end takes.</summary>
    private void Transmit()
    {
        if (_transmitting.Count == 0)
        {
            return;
        }

        while (_transmitting.Count > 0)
        {
            var front = _transmitting.Front;
            int taken = _backend is null ? front.Length : Math.Clamp(_backend.Send(front), 0, front.Length);
            if (taken == 0)
            {
                return;
            }

            _transmitting.Drop(taken);
            _bytesSent += taken;
        }

        _transmitterInterrupt = true;
    }
}
