using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Power.FixedHardware;

/// <summary>
/// ACPI fixed hardware (ACPI 6.5 §4.8): PM1 event and control registers, the PM timer, one block of general-purpose events, the SMI command
/// port that switches ACPI mode, and the SCI that all of them raise.
/// </summary>
public sealed class AcpiPowerManagement
    : IDevice, IPortMapped, IFirmwareVisible, IPowerButton, ISavedState<AcpiPowerManagement.State>, IDisposable
{
    private const int EnableOffset = 2;
    private const int GpeHalf = AcpiPorts.Gpe0Length / 2;

    private readonly Lock _lock = new();
    private readonly VirtualClock _clock;
    private readonly IVirtualTimer _timer;
    private readonly InterruptLine.Source _sci;
    private readonly IMachineSignals _signals;

    private Pm1Events _status;
    private Pm1Events _enable;
    private ushort _control;
    private long _observedAt;
    private ulong _togglesSeen;
    private ulong _gpeStatus;
    private ulong _gpeEnable;
    private byte _smiCommand;
    private byte _smiStatus;

    public AcpiPowerManagement(ITimerService timers, InterruptLine sci, IMachineSignals signals)
    {
        _clock = timers.Clock;
        _timer = timers.CreateTimer(TimerToggled);
        _sci = sci.CreateSource();
        _signals = signals;
        PortWindows =
        [
            new PortWindow(AcpiPorts.Pm1Event, AcpiPorts.Pm1EventLength, new Handler(ReadEvent, WriteEvent)) { Width = 2 },
            new PortWindow(AcpiPorts.Pm1Control, AcpiPorts.Pm1ControlLength, new Handler(ReadControl, WriteControl)) { Width = 2 },
            new PortWindow(
                AcpiPorts.Timer, AcpiPorts.TimerLength, new Handler(
                    (offset, size) => PmTimer.Read(_clock) >> (offset * 8), (_, _, _) => { })),
            new PortWindow(AcpiPorts.Gpe0, AcpiPorts.Gpe0Length, new Handler(ReadGpe, WriteGpe)) { Width = 1 },
            new PortWindow(AcpiPorts.SmiCommand, AcpiPorts.SmiLength, new Handler(ReadSmi, WriteSmi)) { Width = 1 },
        ];
    }

    public string Name { get; init; } = "acpi-pm";

    public StateSchema<State> Schema => AcpiPowerManagementStateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows { get; }

    public InputGate Input { get; } = new();

    /// <summary>The guest's operating system has taken ACPI over and would hear the power button.</summary>
    public bool InAcpiMode
    {
        get
        {
            lock (_lock)
            {
                return (_control & Pm1ControlBits.SciEnable) != 0;
            }
        }
    }

    public void Describe(FirmwareDescription firmware)
    {
        var hardware = firmware.Acpi.FixedHardware;
        hardware.SciInterrupt = AcpiPorts.SciGsi;
        hardware.SmiCommand = AcpiPorts.SmiCommand;
        hardware.AcpiEnable = AcpiPorts.AcpiEnable;
        hardware.AcpiDisable = AcpiPorts.AcpiDisable;
        hardware.Pm1Event = AcpiPorts.Pm1Event;
        hardware.Pm1Control = AcpiPorts.Pm1Control;
        hardware.PmTimer = AcpiPorts.Timer;
        hardware.PmTimerHas32Bits = AcpiPorts.TimerBits == 32;
        hardware.Gpe0 = AcpiPorts.Gpe0;
        hardware.Gpe0Length = AcpiPorts.Gpe0Length;
        firmware.Acpi.InterruptOverrides.Add(new(AcpiPorts.SciGsi, AcpiPorts.SciGsi, AcpiInterruptOverride.ActiveHighLevel));
        // Values for SLP_TYP of the PM1a and PM1b control registers (§7.4.2).
        firmware.Acpi.Root.Add(new AmlName("\\_S5", new AmlPackage(SleepTypes.S5, SleepTypes.S5, 0, 0)));
    }

    public void Reset()
    {
        lock (_lock)
        {
            _status = 0;
            _enable = 0;
            _control = 0;
            _gpeStatus = 0;
            _gpeEnable = 0;
            _smiCommand = 0;
            _smiStatus = 0;
            ForgetToggles();
            UpdateTimer();
            UpdateSci();
        }
    }

    public void Start()
    {
        lock (_lock)
        {
            UpdateTimer();
        }
    }

    public void Stop() => _timer.CancelAndWait();

    public void PressPowerButton() => Press(Pm1Events.PowerButton);

    public void PressSleepButton() => Press(Pm1Events.SleepButton);

    /// <summary>The machine woke up from a sleep state (ACPI 6.5 §4.8.4.1.1, WAK_STS).</summary>
    public void Wake() => RaiseEvent(Pm1Events.Wake);

    /// <summary>Raises general-purpose event <paramref name="number"/> (0 to 63), which the AML method \_GPE._Exx answers.</summary>
    public void RaiseGpe(int number)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(number);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(number, GpeHalf * 8);
        lock (_lock)
        {
            _gpeStatus |= 1UL << number;
            UpdateSci();
        }
    }

    public void Dispose() => _timer.Dispose();

    public State Save()
    {
        lock (_lock)
        {
            ObserveTimer();
            return new State((ushort)_status, (ushort)_enable, _control, _gpeStatus, _gpeEnable, _smiCommand, _smiStatus);
        }
    }

    public void Load(State state)
    {
        lock (_lock)
        {
            _status = (Pm1Events)state.Pm1Status & Pm1Events.All;
            _enable = (Pm1Events)state.Pm1Enable & Pm1Events.Interrupts;
            _control = (ushort)(state.Pm1Control & (Pm1ControlBits.SciEnable | Pm1ControlBits.BusMasterReload
                | Pm1ControlBits.SleepTypeMask));
            _gpeStatus = state.GpeStatus;
            _gpeEnable = state.GpeEnable;
            _smiCommand = state.SmiCommand;
            _smiStatus = state.SmiStatus;
            ForgetToggles();
            UpdateTimer();
            UpdateSci();
        }
    }

    private void Press(Pm1Events button)
    {
        using var entry = Input.Enter();
        if (entry.Granted)
        {
            RaiseEvent(button);
        }
    }

    private void RaiseEvent(Pm1Events @event)
    {
        lock (_lock)
        {
            _status |= @event;
            UpdateSci();
        }
    }

    private void TimerToggled()
    {
        lock (_lock)
        {
            ObserveTimer();
            UpdateTimer();
            UpdateSci();
        }
    }

    private void ForgetToggles()
    {
        _observedAt = _clock.Now;
        _togglesSeen = PmTimer.Toggles(_observedAt);
    }

    /// <summary>Sets the timer's status bit if the counter's top bit has changed since it was last looked at.</summary>
    private void ObserveTimer()
    {
        _observedAt = _clock.Now;
        ulong toggles = PmTimer.Toggles(_observedAt);
        if (toggles != _togglesSeen)
        {
            _togglesSeen = toggles;
            _status |= Pm1Events.Timer;
        }
    }

    /// <summary>Sleeps until the next change of the top bit only if the guest wants an interrupt then.</summary>
    private void UpdateTimer()
    {
        if ((_enable & Pm1Events.Timer) != 0)
        {
            // As seen from where it was last looked at: a change since then is past, and so noticed at once.
            _timer.Arm(PmTimer.NextToggle(_observedAt));
        }
        else
        {
            _timer.Cancel();
        }
    }

    private void UpdateSci() =>
        _sci.Set(
            (_control & Pm1ControlBits.SciEnable) != 0
                && ((_status & _enable & Pm1Events.Interrupts) != 0 || (_gpeStatus & _gpeEnable) != 0));

    private uint ReadEvent(int offset, int size)
    {
        lock (_lock)
        {
            ObserveTimer();
            uint registers = (ushort)_status | ((uint)_enable << 16);
            return registers >> (offset * 8);
        }
    }

    private void WriteEvent(int offset, int size, uint value)
    {
        lock (_lock)
        {
            ObserveTimer();
            uint mask = (size == 1 ? 0xffu : 0xffff) << (offset * 8);
            uint data = (value << (offset * 8)) & mask;
            // Status bits are cleared by writing ones.
            _status &= ~(Pm1Events)(ushort)data;
            if (mask >> (EnableOffset * 8) != 0)
            {
                var written = (Pm1Events)(ushort)(mask >> (EnableOffset * 8));
                _enable = ((_enable & ~written) | (Pm1Events)(ushort)(data >> (EnableOffset * 8))) & Pm1Events.Interrupts;
            }

            UpdateTimer();
            UpdateSci();
        }
    }

    private uint ReadControl(int offset, int size)
    {
        lock (_lock)
        {
            return (uint)_control >> (offset * 8);
        }
    }

    private void WriteControl(int offset, int size, uint value)
    {
        lock (_lock)
        {
            int mask = (size == 1 ? 0xff : 0xffff) << (offset * 8);
            int written = (_control & ~mask) | ((int)(value << (offset * 8)) & mask);
            // SCI_EN belongs to the hardware (§4.8.4.2.1); SLP_EN always reads as zero.
            _control = (ushort)((_control & Pm1ControlBits.SciEnable)
                | (written & (Pm1ControlBits.BusMasterReload | Pm1ControlBits.SleepTypeMask)));
            if ((written & mask & Pm1ControlBits.SleepEnable) != 0)
            {
                Sleep((byte)((_control & Pm1ControlBits.SleepTypeMask) >> Pm1ControlBits.SleepTypeShift));
            }
        }
    }

    private void Sleep(byte type)
    {
        switch (type)
        {
            case SleepTypes.S5:
                _signals.PowerOff();
                break;
            case SleepTypes.S3:
                _signals.Sleep(SleepState.S3);
                break;
            case SleepTypes.S4:
                _signals.Sleep(SleepState.S4);
                break;
            default:
                break; // Not a sleep state of this machine.
        }
    }

    private uint ReadGpe(int offset, int size)
    {
        lock (_lock)
        {
            return offset < GpeHalf ? (byte)(_gpeStatus >> (offset * 8)) : (byte)(_gpeEnable >> ((offset - GpeHalf) * 8));
        }
    }

    private void WriteGpe(int offset, int size, uint value)
    {
        lock (_lock)
        {
            if (offset < GpeHalf)
            {
                _gpeStatus &= ~((ulong)(byte)value << (offset * 8));
            }
            else
            {
                int shift = (offset - GpeHalf) * 8;
                _gpeEnable = (_gpeEnable & ~(0xffUL << shift)) | ((ulong)(byte)value << shift);
            }

            UpdateSci();
        }
    }

    private uint ReadSmi(int offset, int size)
    {
        lock (_lock)
        {
            return offset == 0 ? _smiCommand : _smiStatus;
        }
    }

    private void WriteSmi(int offset, int size, uint value)
    {
        lock (_lock)
        {
            if (offset != 0)
            {
                _smiStatus = (byte)value;
                return;
            }

            // There is no system management mode: what its handler would do to the registers happens here.
            _smiCommand = (byte)value;
            if (_smiCommand == AcpiPorts.AcpiEnable)
            {
                _control |= Pm1ControlBits.SciEnable;
            }
            else if (_smiCommand == AcpiPorts.AcpiDisable)
            {
                _control = (ushort)(_control & ~Pm1ControlBits.SciEnable);
            }

            UpdateSci();
        }
    }

    /// <summary>One register block: its accesses as two methods of the device.</summary>
    private sealed class Handler(Func<int, int, uint> read, Action<int, int, uint> write) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => read(offset, size);

        public void WritePort(int offset, int size, uint value) => write(offset, size, value);
    }

    public sealed record State(
        ushort Pm1Status, ushort Pm1Enable, ushort Pm1Control, ulong GpeStatus, ulong GpeEnable, byte SmiCommand, byte SmiStatus);
}
