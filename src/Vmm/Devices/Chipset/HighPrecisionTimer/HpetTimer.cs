using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;

/// <summary>One comparator of the <see cref="Hpet"/>, which owns the lock and the counter.</summary>
internal sealed class HpetTimer : IDisposable
{
    private const ulong LevelTriggered = 1 << 1;
    private const ulong InterruptEnable = 1 << 2;
    private const ulong Periodic = 1 << 3;
    private const ulong PeriodicCapable = 1 << 4;
    private const ulong Wide = 1 << 5;
    private const ulong SetValue = 1 << 6;
    private const ulong Force32 = 1 << 8;
    private const ulong Writable = LevelTriggered | InterruptEnable | Periodic | SetValue | Force32 | (0x1fUL << RouteShift);
    private const int RouteShift = 9;

    /// <summary>GSIs that a comparator may be routed to: the upper PCI interrupt pins.</summary>
    private const int FirstRoute = 20;
    private const int LastRoute = 23;
    private const ulong RouteCapable = 0x00f0_0000UL << 32;

    /// <summary>Where the interrupts of PIT and RTC arrive (§2.4.4.1).</summary>
    private const int LegacyTimerGsi = 2;
    private const int LegacyClockGsi = 8;

    private const int ConfigurationOffset = 0x00;
    private const int ComparatorOffset = 0x08;

    /// <summary>Matches closer than this, in counter ticks (50 µs), merge.</summary>
    private const ulong ShortestInterval = 50_000 / Hpet.Period;

    private readonly IVirtualTimer _timer;
    private readonly InterruptLine.Source[] _routes;
    private readonly InterruptLine.Source? _legacy;

    private ulong _configuration;
    private ulong _comparator;
    private ulong _period;

    /// <summary>Full 64-bit counter value of the next match, if <see cref="_armed"/>.</summary>
    private ulong _nextMatch;
    private bool _armed;

    /// <summary>The comparator was written, or means something else since: the next match must be found anew.</summary>
    private bool _changed;

    public HpetTimer(int index, IVirtualTimer timer, Func<int, InterruptLine> line)
    {
        Index = index;
        _timer = timer;
        _routes = [.. Enumerable.Range(FirstRoute, LastRoute - FirstRoute + 1).Select(gsi => line(gsi).CreateSource())];

        // Legacy replacement (§2.4.4.1): comparator 0 takes the PIT's interrupt, comparator 1 the RTC's.
        _legacy = index switch
        {
            0 => line(LegacyTimerGsi).CreateSource(),
            1 => line(LegacyClockGsi).CreateSource(),
            _ => null,
        };
    }

    public int Index { get; }

    public bool IsLevel => (_configuration & LevelTriggered) != 0;

    private bool IsEnabled => (_configuration & InterruptEnable) != 0;

    private bool IsPeriodic => (_configuration & Periodic) != 0;

    private bool Is32Bit => (_configuration & Force32) != 0;

    private ulong CounterMask => Is32Bit ? uint.MaxValue : ulong.MaxValue;

    public void Reset()
    {
        _timer.Cancel();
        _configuration = 0;
        _comparator = ulong.MaxValue;
        _period = 0;
        _nextMatch = 0;
        _armed = false;
        _changed = true;
    }

    public ulong Read(int offset) => offset switch
    {
        ConfigurationOffset => _configuration | PeriodicCapable | Wide | RouteCapable,
        ComparatorOffset => _comparator & CounterMask,
        _ => 0,
    };

    /// <param name="mask">The bits that are written; the others of <paramref name="value"/> are 0.</param>
    public void Write(int offset, ulong value, ulong mask)
    {
        switch (offset)
        {
            case ConfigurationOffset:
                WriteConfiguration((_configuration & ~mask) | value);
                break;
            case ComparatorOffset:
                WriteComparator(value, mask);
                break;
        }
    }

    /// <summary>Sets the timer for the next match, seen from this counter value and moment.</summary>
    public void Arm(ulong counter, long now)
    {
        if (_changed)
        {
            FindNextMatch(counter);
        }

        if (!_armed || !IsEnabled)
        {
            _timer.Cancel();
            return;
        }

        long wait = Math.Max(Ahead(counter), 0);
        _timer.Arm(wait > (long.MaxValue - now) / Hpet.Period ? long.MaxValue : now + (wait * Hpet.Period));
    }

    public void Disarm()
    {
        _changed = true;
        _timer.Cancel();
    }

    /// <summary>Whether the counter has reached the comparator; then the next match is set up.</summary>
    public bool Match(ulong counter)
    {
        if (_changed || !_armed || !IsEnabled || Ahead(counter) > 0)
        {
            return false;
        }

        if (IsPeriodic && _period > 0)
        {
            // Matches that were missed are dropped.
            ulong step = ((counter - _nextMatch) / _period * _period) + _period;
            if (step < ShortestInterval)
            {
                step = (ShortestInterval + _period - 1) / _period * _period;
            }

            SetNext(_nextMatch + step, counter);
            _comparator = _nextMatch & CounterMask;
        }
        else if (Is32Bit)
        {
            SetNext(counter + (1UL << 32) - (uint)(counter - _nextMatch), counter);
        }
        else
        {
            _armed = false;
        }

        return true;
    }

    public void Pulse(bool legacy) => Line(legacy)?.Pulse();

    /// <summary>Drives the line of a level-triggered comparator, and releases every other.</summary>
    public void UpdateLine(bool legacy, bool active)
    {
        var line = IsEnabled && IsLevel && active ? Line(legacy) : null;
        foreach (var route in _routes)
        {
            route.Set(route == line);
        }

        _legacy?.Set(_legacy == line);
    }

    public void Stop() => _timer.CancelAndWait();

    public void Dispose() => _timer.Dispose();

    public Hpet.TimerState Save() => new()
    {
        Configuration = _configuration,
        Comparator = _comparator,
        Period = _period,
        NextMatch = _nextMatch,
        Armed = _armed && !_changed,
    };

    public void Load(Hpet.TimerState state)
    {
        _configuration = 0;
        WriteConfiguration(state.Configuration);
        _comparator = state.Comparator;
        _period = state.Period;
        _nextMatch = state.NextMatch;
        _armed = state.Armed;
        _changed = !state.Armed;
    }

    private void WriteConfiguration(ulong value)
    {
        int route = (int)(value >> RouteShift) & 0x1f;
        if (route is not 0 and (< FirstRoute or > LastRoute))
        {
            // A route that does not exist does not read back (§2.3.8).
            value = (value & ~(0x1fUL << RouteShift)) | (_configuration & (0x1fUL << RouteShift));
        }

        ulong before = _configuration;
        _configuration = value & Writable;
        _changed |= ((before ^ _configuration) & (Periodic | Force32)) != 0 || (!IsEnabledIn(before) && IsEnabled);
    }

    private static bool IsEnabledIn(ulong configuration) => (configuration & InterruptEnable) != 0;

    /// <summary>
    /// A periodic comparator takes a write as its period, and as its value too when the configuration's set-value bit announced that
    /// (§2.3.9.2.2).
    /// </summary>
    private void WriteComparator(ulong value, ulong mask)
    {
        if (!IsPeriodic || (_configuration & SetValue) != 0)
        {
            _comparator = ((_comparator & ~mask) | value) & CounterMask;
            _changed = true;
        }

        if (IsPeriodic)
        {
            _period = ((_period & ~mask) | value) & CounterMask;
            _configuration &= ~SetValue;
            _changed = true;
        }
    }

    /// <summary>Ticks to the next match, which may lie beyond the counter's wrap-around; 0 or less: reached.</summary>
    private long Ahead(ulong counter) => (long)(_nextMatch - counter);

    /// <summary>A match in the past, or so far ahead (2,900 years) that it cannot be told from one, never comes.</summary>
    private void SetNext(ulong match, ulong counter)
    {
        _nextMatch = match;
        _armed = Ahead(counter) > 0;
    }

    private void FindNextMatch(ulong counter)
    {
        _changed = false;
        if (Is32Bit)
        {
            uint ahead = (uint)_comparator - (uint)counter;
            if (IsPeriodic && _period is > 0 and <= uint.MaxValue && ahead > int.MaxValue)
            {
                // Just passed, and the period keeps it close: the next multiple is meant, not a round trip of the counter.
                uint behind = (uint)counter - (uint)_comparator;
                ahead = (uint)((((behind / _period) + 1) * _period) - behind);
            }

            SetNext(counter + (ahead == 0 ? 1UL << 32 : ahead), counter);
        }
        else if (_comparator > counter)
        {
            SetNext(_comparator, counter);
        }
        else if (IsPeriodic && _period > 0)
        {
            ulong steps = ((counter - _comparator) / _period) + 1;
            SetNext(_comparator + (steps * _period), counter);
        }
        else
        {
            _armed = false;
        }
    }

    private InterruptLine.Source? Line(bool legacy)
    {
        if (legacy && _legacy is not null)
        {
            return _legacy;
        }

        int route = (int)(_configuration >> RouteShift) & 0x1f;
        return route is >= FirstRoute and <= LastRoute ? _routes[route - FirstRoute] : null;
    }
}
