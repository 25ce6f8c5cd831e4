using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;

/// <summary>
/// High precision event timers (IA-PC HPET Specification 1.0a): a 64-bit counter of 100 MHz and three comparators, all of them
/// periodic; no message interrupts.
/// </summary>
public sealed class Hpet : IDevice, IMemoryMapped, IMmioHandler, IFirmwareVisible, ISavedState<Hpet.State>, IDisposable
{
    /// <summary>Guest physical address of the registers.</summary>
    public const ulong Base = 0xfed0_0000;

    public const int TimerCount = 3;

    /// <summary>Nanoseconds in a tick of the counter.</summary>
    public const int Period = 10;

    /// <summary>Revision 1, vendor 0x8086, legacy replacement, 64 bits, three timers; period in femtoseconds.</summary>
    private const ulong Capabilities = 0x8086_a201 | (Period * 1_000_000UL << 32);

    /// <summary>The counter, its capability register and three comparators.</summary>
    internal const int WindowSize = 0x400;
    private const int ConfigurationOffset = 0x10;
    private const int StatusOffset = 0x20;
    private const int CounterOffset = 0xf0;
    private const int TimersOffset = 0x100;
    private const int TimerStride = 0x20;

    private const ulong EnableCounter = 1 << 0;
    private const ulong LegacyReplacement = 1 << 1;

    private readonly Lock _lock = new();
    private readonly VirtualClock _clock;
    private readonly HpetTimer[] _timers;
    private readonly Action<bool> _legacyReplaced;

    private ulong _configuration;
    private ulong _status;

    /// <summary>Counter value at <see cref="_countedFrom"/> while it runs, else the value it stopped at.</summary>
    private ulong _count;
    private long _countedFrom;

    /// <param name="line">The interrupt line of a GSI.</param>
    /// <param name="legacyReplaced">The comparators have taken (true) or given back the interrupts of PIT and RTC. Called with the device
    /// locked.</param>
    public Hpet(ITimerService timers, Func<int, InterruptLine> line, Action<bool> legacyReplaced)
    {
        _clock = timers.Clock;
        _legacyReplaced = legacyReplaced;
        _timers = [.. Enumerable.Range(0, TimerCount)
            .Select(index => new HpetTimer(index, timers.CreateTimer(() => Expired(index)), line))];
        Initialize();
    }

    public string Name { get; init; } = "hpet";

    public StateSchema<State> Schema => HpetStateJson.Schema;

    public IReadOnlyList<MmioWindow> MmioWindows => [new MmioWindow(new(Base), WindowSize, this)];

    public void Describe(FirmwareDescription firmware) => HpetDescription.AddTo(firmware.Acpi);

    public void Reset()
    {
        lock (_lock)
        {
            Initialize();
            _legacyReplaced(false);
        }
    }

    public void Start()
    {
        lock (_lock)
        {
            ScheduleAll();
        }
    }

    public void Stop()
    {
        foreach (var timer in _timers)
        {
            timer.Stop();
        }
    }

    /// <summary>Registers are 64 bits wide and read in any part.</summary>
    public ulong ReadMmio(ulong offset, int size)
    {
        int within = (int)(offset & 7);
        ulong value;
        lock (_lock)
        {
            value = ReadRegister((int)offset & ~7);
        }

        // An access over a register's end does not exist in hardware; its far part reads as 0.
        value >>= within * 8;
        return size == 8 ? value : value & ((1UL << (size * 8)) - 1);
    }

    /// <summary>Aligned writes of 32 or 64 bits (§2.3.1); others are lost.</summary>
    public void WriteMmio(ulong offset, int size, ulong value)
    {
        if (size < 4 || (offset & ((ulong)size - 1)) != 0)
        {
            return;
        }

        int register = (int)offset & ~7;
        int shift = (int)(offset & 7) * 8;
        ulong mask = size == 8 ? ulong.MaxValue : 0xffff_ffffUL << shift;
        lock (_lock)
        {
            WriteRegister(register, (value << shift) & mask, mask);
        }
    }

    public State Save()
    {
        lock (_lock)
        {
            return new State
            {
                Configuration = _configuration,
                InterruptStatus = _status,
                Counter = Counter,
                Timers = [.. _timers.Select(timer => timer.Save())],
            };
        }
    }

    public void Load(State state)
    {
        if (state.Timers.Count != TimerCount)
        {
            throw new InvalidDataException($"An HPET has {TimerCount} timers, not {state.Timers.Count}.");
        }

        lock (_lock)
        {
            _configuration = state.Configuration & (EnableCounter | LegacyReplacement);
            _status = state.InterruptStatus & ((1 << TimerCount) - 1);
            _count = state.Counter;
            _countedFrom = _clock.Now;
            for (int i = 0; i < TimerCount; i++)
            {
                _timers[i].Load(state.Timers[i]);
            }

            UpdateLines();
            _legacyReplaced(Legacy);
        }
    }

    public void Dispose()
    {
        foreach (var timer in _timers)
        {
            timer.Dispose();
        }
    }

    private bool Counting => (_configuration & EnableCounter) != 0;

    private bool Legacy => (_configuration & LegacyReplacement) != 0;

    private ulong Counter => CounterAt(_clock.Now);

    /// <summary>Who also needs the time reads the clock once for both: it runs on between two looks.</summary>
    private ulong CounterAt(long now) => Counting ? _count + (ulong)((now - _countedFrom) / Period) : _count;

    private void Initialize()
    {
        _configuration = 0;
        _status = 0;
        _count = 0;
        foreach (var timer in _timers)
        {
            timer.Reset();
        }

        UpdateLines();
    }

    private ulong ReadRegister(int offset) => offset switch
    {
        0 => Capabilities,
        ConfigurationOffset => _configuration,
        StatusOffset => _status,
        CounterOffset => Counter,
        >= TimersOffset and < TimersOffset + (TimerCount * TimerStride) =>
            _timers[(offset - TimersOffset) / TimerStride].Read(offset & (TimerStride - 1)),
        _ => 0,
    };

    private void WriteRegister(int offset, ulong value, ulong mask)
    {
        switch (offset)
        {
            case ConfigurationOffset:
                WriteConfiguration((_configuration & ~mask) | value);
                break;
            case StatusOffset:
                _status &= ~value;
                UpdateLines();
                break;
            case CounterOffset when !Counting:
                _count = (_count & ~mask) | value;
                break;
            case >= TimersOffset and < TimersOffset + (TimerCount * TimerStride):
                var timer = _timers[(offset - TimersOffset) / TimerStride];
                timer.Write(offset & (TimerStride - 1), value, mask);
                Schedule(timer);
                UpdateLines();
                break;
        }
    }

    private void WriteConfiguration(ulong value)
    {
        bool legacy = Legacy;
        long now = _clock.Now;
        ulong count = CounterAt(now);
        _configuration = value & (EnableCounter | LegacyReplacement);
        _count = count;
        _countedFrom = now;
        if (Legacy != legacy)
        {
            UpdateLines();
            _legacyReplaced(Legacy);
        }

        ScheduleAll();
    }

    private void ScheduleAll()
    {
        foreach (var timer in _timers)
        {
            Schedule(timer);
        }
    }

    private void Schedule(HpetTimer timer)
    {
        if (Counting)
        {
            long now = _clock.Now;
            timer.Arm(CounterAt(now), now);
        }
        else
        {
            timer.Disarm();
        }
    }

    private void Expired(int index)
    {
        lock (_lock)
        {
            var timer = _timers[index];
            long now = _clock.Now;
            if (!Counting || !timer.Match(CounterAt(now)))
            {
                return;
            }

            if (timer.IsLevel)
            {
                _status |= 1UL << index;
                UpdateLines();
            }
            else
            {
                timer.Pulse(Legacy);
            }

            timer.Arm(CounterAt(now), now);
        }
    }

    private void UpdateLines()
    {
        foreach (var timer in _timers)
        {
            timer.UpdateLine(Legacy, (_status & (1UL << timer.Index)) != 0);
        }
    }

    /// <summary>Saved state.</summary>
    public sealed record State
    {
        public ulong Configuration { get; init; }

        public ulong InterruptStatus { get; init; }

        public ulong Counter { get; init; }

        public required IReadOnlyList<TimerState> Timers { get; init; }
    }

    /// <summary>One comparator.</summary>
    public sealed record TimerState
    {
        public ulong Configuration { get; init; }

        public ulong Comparator { get; init; }

        public ulong Period { get; init; }

        /// <summary>The counter value of the next match.</summary>
        public ulong NextMatch { get; init; }

        public bool Armed { get; init; }
    }
}
