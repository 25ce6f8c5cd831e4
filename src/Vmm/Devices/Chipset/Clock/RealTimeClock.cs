using R = WebVm.Vmm.Devices.Chipset.Clock.RtcRegister;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Chipset.Clock;

/// <summary>
/// The MC146818A of a PC: clock, alarm, periodic interrupt and 114 bytes of battery-backed memory, at ports 0x70 and 0x71.
/// </summary>
/// <remarks>
/// Its time is the host's plus what the guest has set, so a guest that was paused or saved finds the right time. Nothing runs while
/// no interrupt is enabled: time and flags are computed when somebody looks. Periodic ticks that pass before register C is read are one, as
/// on the chip, whose PF is a single bit, and as QEMU has it unless told otherwise: none are made up for later.
/// </remarks>
public sealed class RealTimeClock : IDevice, IPortMapped, IPortHandler, IFirmwareVisible, ISavedState<RealTimeClock.State>, IDisposable
{
    /// <summary>The index port; data are at the next.</summary>
    public const ushort Port = 0x70;

    public const int Gsi = 8;

    /// <summary>Index and data.</summary>
    internal const int PortCount = 2;

    private const int Size = 128;
    private const long SecondTicks = TimeSpan.TicksPerSecond;
    private const long NanosecondsPerTick = 100;

    /// <summary>Update-in-progress is seen at least this long, in clock ticks, before the time changes: 244 µs.</summary>
    private const long UpdateWarning = 2440;

    private const int Crystal = 32768;
    private const int SecondsPerDay = 86400;
    private const byte NmiMaskBit = 0x80;

    private readonly Lock _lock = new();
    private readonly TimeProvider _host;
    private readonly VirtualClock _clock;
    private readonly IVirtualTimer _timer;
    private readonly InterruptLine.Source _line;
    private readonly byte[] _ram = new byte[Size];

    private byte _index;
    private volatile bool _nmiMasked;
    private volatile bool _disconnected;

    /// <summary>Guest time less host time, in ticks of 100 ns.</summary>
    private long _offset;

    /// <summary>Guest time up to which the flags of register C are right.</summary>
    private long _seen;

    /// <param name="lowMemory">Bytes of RAM below 4 GiB, for firmware that asks here.</param>
    /// <param name="highMemory">Bytes of RAM above 4 GiB.</param>
    /// <param name="host">Where the time comes from.</param>
    public RealTimeClock(ITimerService timers, InterruptLine line, ulong lowMemory, ulong highMemory, TimeProvider? host = null)
    {
        _host = host ?? TimeProvider.System;
        _clock = timers.Clock;
        _timer = timers.CreateTimer(TimerExpired);
        _line = line.CreateSource();
        _ram[R.A] = 0x26;
        _ram[R.B] = R.Hours24;
        _ram[R.D] = R.ValidRam;
        _seen = Now;
        DescribeMachine(lowMemory, highMemory);
    }

    public string Name { get; init; } = "rtc";

    public StateSchema<State> Schema => RealTimeClockStateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(Port, PortCount, this) { Width = 1 }];

    /// <summary>Bit 7 of port 0x70: the machine's NMI sources are cut off.</summary>
    public bool NmiMasked => _nmiMasked;

    /// <summary>The interrupt is not wired (HPET legacy replacement).</summary>
    public bool Disconnected
    {
        get => _disconnected;
        set
        {
            _disconnected = value;
            lock (_lock)
            {
                UpdateLine();
            }
        }
    }

    public void Describe(FirmwareDescription firmware)
    {
        firmware.Acpi.SystemBus.Add(AmlDevices.Create("RTC", "PNP0B00", new AmlIoPort(Port, PortCount), new AmlIrq(Gsi)));
        firmware.Acpi.FixedHardware.CenturyIndex = R.Century;
    }

    /// <summary>The RESET pin: interrupts off, time and memory kept.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _ram[R.B] &= unchecked((byte)~(R.Interrupts | R.SquareWave));
            _ram[R.C] = 0;
            _index = 0;
            _nmiMasked = false;
            _seen = Now;
            UpdateLine();
            Schedule();
        }
    }

    public void Start()
    {
        lock (_lock)
        {
            Schedule();
        }
    }

    public void Stop() => _timer.CancelAndWait();

    /// <summary>The index register reads as open bus, as on the PIIX.</summary>
    public uint ReadPort(int offset, int size)
    {
        if (offset == 0)
        {
            return 0xff;
        }

        lock (_lock)
        {
            return Read(_index);
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        lock (_lock)
        {
            if (offset == 0)
            {
                _index = (byte)(value & (Size - 1));
                _nmiMasked = (value & NmiMaskBit) != 0;
            }
            else
            {
                Write(_index, (byte)value);
            }
        }
    }

    public State Save()
    {
        lock (_lock)
        {
            Advance();
            return new State { Memory = [.. _ram], Index = _index, NmiMasked = _nmiMasked, OffsetTicks = _offset };
        }
    }

    public void Load(State state)
    {
        if (state.Memory.Length != Size)
        {
            throw new InvalidDataException($"The real-time clock has {Size} bytes, not {state.Memory.Length}.");
        }

        lock (_lock)
        {
            state.Memory.CopyTo(_ram, 0);
            _ram[R.A] &= 0x7f;
            _ram[R.C] &= R.Interrupts;
            _ram[R.D] = R.ValidRam;
            _index = (byte)(state.Index & (Size - 1));
            _nmiMasked = state.NmiMasked;
            _offset = state.OffsetTicks;
            _seen = Now;
            UpdateLine();
        }
    }

    public void Dispose() => _timer.Dispose();

    private RtcCalendar Calendar => new(_ram[R.B]);

    /// <summary>Guest time in ticks of 100 ns since the year 1; frozen fields are in the memory instead.</summary>
    private long Now => (long)Int128.Clamp((Int128)_host.GetUtcNow().UtcTicks + _offset, 0, DateTime.MaxValue.Ticks);

    /// <summary>The clock stands still: being set, or its divider held in reset.</summary>
    private bool Frozen => (_ram[R.B] & R.Set) != 0 || (_ram[R.A] & 0x70) >= 0x60;

    /// <summary>Period of the periodic interrupt in cycles of the crystal, 0 for none.</summary>
    private int PeriodCycles
    {
        get
        {
            int rate = _ram[R.A] & 0xf;
            return rate == 0 ? 0 : 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
        }
    }

    private byte Read(int index)
    {
        Advance();
        switch (index)
        {
            case R.A:
                bool updating = !Frozen && SecondTicks - (Now % SecondTicks) <= UpdateWarning;
                return (byte)(_ram[R.A] | (updating ? R.UpdateInProgress : 0));
            case R.C:
                byte flags = _ram[R.C];
                byte value = (byte)(flags | (Requesting ? R.InterruptRequest : 0));
                _ram[R.C] = 0;
                UpdateLine();
                return value;
            default:
                return R.IsTime(index) && !Frozen ? Calendar.Read(index, new DateTime(Now)) : _ram[index];
        }
    }

    private void Write(int index, byte value)
    {
        Advance();
        switch (index)
        {
            case R.A:
                WriteControl(R.A, (byte)(value & 0x7f));
                break;
            case R.B:
                // Setting the clock switches the update interrupt off.
                WriteControl(R.B, (byte)((value & R.Set) != 0 ? value & ~R.Update : value));
                break;
            case R.C or R.D:
                return;
            default:
                if (R.IsTime(index) && !Frozen)
                {
                    Freeze();
                    _ram[index] = value;
                    Thaw(Now % SecondTicks);
                }
                else
                {
                    _ram[index] = value;
                }

                break;
        }

        UpdateLine();
        Schedule();
    }

    /// <summary>Writes register A or B, which may stop the clock or start it.</summary>
    private void WriteControl(int index, byte value)
    {
        bool dividerReset = (_ram[R.A] & 0x70) >= 0x60;
        if (Frozen)
        {
            _ram[index] = value;
            if (!Frozen)
            {
                // Out of divider reset the first update comes half a second later (MC146818A data sheet, "Divider control").
                Thaw(dividerReset ? SecondTicks / 2 : Now % SecondTicks);
            }
        }
        else
        {
            // The registers keep what they show now, in the format of now.
            Freeze();
            _ram[index] = value;
        }
    }

    /// <summary>Puts the time into the registers.</summary>
    private void Freeze()
    {
        var time = new DateTime(Now);
        foreach (int index in (ReadOnlySpan<int>)[R.Seconds, R.Minutes, R.Hours, R.DayOfWeek, R.DayOfMonth, R.Month, R.Year, R.Century])
        {
            _ram[index] = Calendar.Read(index, time);
        }
    }

    /// <summary>Lets the time run on from what the registers say.</summary>
    /// <param name="fraction">Ticks of the current second that have passed.</param>
    private void Thaw(long fraction)
    {
        _offset = Calendar.Compose(_ram).Ticks + fraction - _host.GetUtcNow().UtcTicks;
        _seen = Now;
    }

    /// <summary>Sets the flags of register C for what has happened since the last look.</summary>
    private void Advance()
    {
        long now = Now;
        long from = _seen;
        _seen = now;
        if (now <= from)
        {
            return;
        }

        int period = PeriodCycles;
        if (period != 0 && (_ram[R.A] & 0x70) < 0x60 && Cycles(now) / period != Cycles(from) / period)
        {
            _ram[R.C] |= R.Periodic;
        }

        long first = from / SecondTicks;
        long last = now / SecondTicks;
        if (first == last || Frozen)
        {
            return;
        }

        _ram[R.C] |= R.Update;

        // A day has every time of day in it: more seconds need not be looked at.
        for (long second = Math.Max(first + 1, last - SecondsPerDay); second <= last && (_ram[R.C] & R.Alarm) == 0; second++)
        {
            if (Calendar.AlarmMatches(_ram, new DateTime(second * SecondTicks)))
            {
                _ram[R.C] |= R.Alarm;
            }
        }
    }

    private static long Cycles(long ticks) => (ticks / SecondTicks * Crystal) + (ticks % SecondTicks * Crystal / SecondTicks);

    private bool Requesting => (_ram[R.B] & _ram[R.C] & R.Interrupts) != 0;

    private void UpdateLine() => _line.Set(Requesting && !_disconnected);

    /// <summary>Arms the timer for the next event that may interrupt.</summary>
    private void Schedule()
    {
        long now = Now;
        long wait = long.MaxValue;
        if ((_ram[R.B] & (R.Alarm | R.Update)) != 0 && !Frozen)
        {
            wait = SecondTicks - (now % SecondTicks);
        }

        int period = PeriodCycles;
        if ((_ram[R.B] & R.Periodic) != 0 && period != 0)
        {
            long cycles = Crystal - (Cycles(now) % Crystal);
            long toNext = ((cycles - 1) % period) + 1;
            wait = Math.Min(wait, (toNext * SecondTicks / Crystal) + 1);
        }

        if (wait == long.MaxValue)
        {
            _timer.Cancel();
        }
        else
        {
            _timer.Arm(_clock.Now + (wait * NanosecondsPerTick));
        }
    }

    private void TimerExpired()
    {
        lock (_lock)
        {
            Advance();
            UpdateLine();
            Schedule();
        }
    }

    /// <summary>What a PC's firmware finds about its machine (and a checksum over it). While the machine is put together.</summary>
    internal void DescribeMachine(ulong lowMemory, ulong highMemory)
    {
        const ulong Mebibyte = 1 << 20;
        SetWord(R.BaseMemory, 640);
        ulong extended = Math.Min(Math.Max(lowMemory, Mebibyte) - Mebibyte, 0xffff * 1024UL) / 1024;
        SetWord(R.ExtendedMemory, (ushort)extended);
        SetWord(R.ExtendedMemoryCopy, (ushort)extended);
        SetWord(R.MemoryAbove16M, (ushort)Math.Min((Math.Max(lowMemory, 16 * Mebibyte) - (16 * Mebibyte)) >> 16, 0xffff));
        ulong above4G = highMemory >> 16;
        SetWord(R.MemoryAbove4G, (ushort)above4G);
        _ram[R.MemoryAbove4G + 2] = (byte)(above4G >> 16);

        // A mouse, and a floating point unit.
        _ram[R.Equipment] = 0x06;
        int sum = 0;
        for (int index = R.ChecksumFirst; index <= R.ChecksumLast; index++)
        {
            sum += _ram[index];
        }

        _ram[R.Checksum] = (byte)(sum >> 8);
        _ram[R.Checksum + 1] = (byte)sum;
    }

    private void SetWord(int index, ushort value)
    {
        _ram[index] = (byte)value;
        _ram[index + 1] = (byte)(value >> 8);
    }

    /// <summary>Saved state.</summary>
    public sealed record State
    {
        public required byte[] Memory { get; init; }

        public byte Index { get; init; }

        public bool NmiMasked { get; init; }

        /// <summary>Guest time less host time (UTC), in ticks of 100 ns.</summary>
        public long OffsetTicks { get; init; }
    }
}
