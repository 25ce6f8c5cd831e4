namespace WebVm.Vmm.Interrupts;

/// <summary>
/// One counter of the 8254 (Intel 8254 data sheet), computed from VM time: nothing runs while nobody looks. <see cref="Pit"/> owns the
/// lock.
/// </summary>
internal sealed class PitChannel
{
    private const int NanosecondsPerSecond = 1_000_000_000;

    private int _count = 65536;
    private ushort _latchedCount;
    private byte _countLatched;
    private bool _statusLatched;
    private byte _status;
    private byte _readState = Access.LowThenHigh;
    private byte _writeState = Access.LowThenHigh;
    private byte _writeLatch;
    private byte _accessMode = Access.LowThenHigh;
    private byte _mode = 3;
    private bool _bcd;
    private bool _gate = true;
    private long _loadedAt;
    private long _stoppedAt;
    private bool _nullCount = true;
    private bool _waitsForTrigger;

    /// <summary>Bytes of a count: which are accessed, and which comes next.</summary>
    private static class Access
    {
        public const byte Low = 1;
        public const byte High = 2;
        public const byte LowThenHigh = 3;
        public const byte HighOfBoth = 4;
    }

    public bool Gate => _gate;

    /// <summary>Clock pulses per period: 1 to 65536.</summary>
    public int Count => _count;

    public bool IsPeriodic => _mode is 2 or 3;

    /// <summary>
    /// The next rising edge of OUT after <paramref name="tick"/> (pulses since the count was loaded), or -1 when there is none.
    /// </summary>
    public long NextRise(long tick)
    {
        if (_nullCount || _waitsForTrigger || !_gate)
        {
            return -1;
        }

        return _mode switch
        {
            0 or 1 => tick < _count ? _count : -1,
            2 or 3 => ((tick / _count) + 1) * _count,
            _ => tick < _count + 1 ? _count + 1 : -1,
        };
    }

    /// <summary>Pulses of the 1.193182 MHz clock since the count was loaded.</summary>
    public long TickAt(long now)
    {
        long elapsed = Math.Max((CountsNow ? now : _stoppedAt) - _loadedAt, 0);
        return (long)((Int128)elapsed * Pit.Frequency / NanosecondsPerSecond);
    }

    /// <summary>VM time at which that pulse comes.</summary>
    public long TimeOf(long tick) =>
        _loadedAt + (long)((((Int128)tick * NanosecondsPerSecond) + Pit.Frequency - 1) / Pit.Frequency);

    /// <summary>The level of OUT.</summary>
    public bool OutputAt(long now)
    {
        if (_nullCount)
        {
            return _mode != 0;
        }

        if (_waitsForTrigger || (!_gate && IsPeriodic))
        {
            return true;
        }

        long tick = TickAt(now);
        return _mode switch
        {
            0 or 1 => tick >= _count,
            2 => tick % _count != _count - 1,
            3 => tick % _count < (_count + 1) / 2,
            _ => tick != _count,
        };
    }

    public void SetGate(bool gate, long now)
    {
        if (gate == _gate)
        {
            return;
        }

        if (!gate)
        {
            _stoppedAt = now;
            _gate = false;
            return;
        }

        _gate = true;
        if (_mode is 0 or 4)
        {
            _loadedAt += now - _stoppedAt;
        }
        else
        {
            // A rising gate starts modes 2 and 3 anew, and triggers modes 1 and 5.
            _loadedAt = now;
            _waitsForTrigger = false;
        }
    }

    /// <summary>Reads the counter's port.</summary>
    public byte Read(long now)
    {
        if (_statusLatched)
        {
            _statusLatched = false;
            return _status;
        }

        if (_countLatched != 0)
        {
            bool high = _countLatched is Access.High or Access.HighOfBoth;
            _countLatched = _countLatched == Access.LowThenHigh ? Access.HighOfBoth : (byte)0;
            return (byte)(high ? _latchedCount >> 8 : _latchedCount);
        }

        int count = CurrentCount(now);
        switch (_readState)
        {
            case Access.LowThenHigh:
                _readState = Access.HighOfBoth;
                return (byte)count;
            case Access.HighOfBoth:
                _readState = Access.LowThenHigh;
                return (byte)(count >> 8);
            default:
                return (byte)(_readState == Access.High ? count >> 8 : count);
        }
    }

    /// <summary>Writes the counter's port; true when that loaded a count.</summary>
    public bool Write(byte value, long now)
    {
        switch (_writeState)
        {
            case Access.LowThenHigh:
                _writeLatch = value;
                _writeState = Access.HighOfBoth;
                return false;
            case Access.HighOfBoth:
                _writeState = Access.LowThenHigh;
                LoadCount(_writeLatch | (value << 8), now);
                return true;
            default:
                LoadCount(_writeState == Access.High ? value << 8 : value, now);
                return true;
        }
    }

    /// <summary>A control word for this counter: latches the count, or sets a mode (then true).</summary>
    public bool Control(byte word, long now)
    {
        byte access = (byte)((word >> 4) & 3);
        if (access == 0)
        {
            LatchCount(now);
            return false;
        }

        _accessMode = _readState = _writeState = access;
        _countLatched = 0;
        _statusLatched = false;
        _bcd = (word & 1) != 0;
        int mode = (word >> 1) & 7;
        _mode = (byte)(mode > 5 ? mode & 3 : mode);
        _nullCount = true;
        _waitsForTrigger = false;
        return true;
    }

    public void LatchCount(long now)
    {
        if (_countLatched == 0)
        {
            _latchedCount = (ushort)CurrentCount(now);
            _countLatched = _accessMode;
        }
    }

    public void LatchStatus(long now)
    {
        if (!_statusLatched)
        {
            _status = (byte)((OutputAt(now) ? 0x80 : 0) | (_nullCount ? 0x40 : 0) | (_accessMode << 4) | (_mode << 1) | (_bcd ? 1 : 0));
            _statusLatched = true;
        }
    }

    public PitChannelState Save() => new()
    {
        Count = _count,
        LatchedCount = _latchedCount,
        CountLatched = _countLatched,
        StatusLatched = _statusLatched,
        Status = _status,
        ReadState = _readState,
        WriteState = _writeState,
        WriteLatch = _writeLatch,
        AccessMode = _accessMode,
        Mode = _mode,
        Bcd = _bcd,
        Gate = _gate,
        LoadedAt = _loadedAt,
        StoppedAt = _stoppedAt,
        NullCount = _nullCount,
        WaitsForTrigger = _waitsForTrigger,
    };

    public void Load(PitChannelState state)
    {
        _bcd = state.Bcd;
        _count = Math.Clamp(state.Count, 1, _bcd ? 10000 : 65536);
        _latchedCount = state.LatchedCount;
        _countLatched = state.CountLatched <= Access.HighOfBoth ? state.CountLatched : (byte)0;
        _statusLatched = state.StatusLatched;
        _status = state.Status;
        _accessMode = state.AccessMode is >= Access.Low and <= Access.LowThenHigh ? state.AccessMode : Access.LowThenHigh;
        _readState = state.ReadState is >= Access.Low and <= Access.HighOfBoth ? state.ReadState : _accessMode;
        _writeState = state.WriteState is >= Access.Low and <= Access.HighOfBoth ? state.WriteState : _accessMode;
        _writeLatch = state.WriteLatch;
        _mode = state.Mode <= 5 ? state.Mode : (byte)(state.Mode & 3);
        _nullCount = state.NullCount || state.Mode > 7;
        _gate = state.Gate;
        _loadedAt = state.LoadedAt;
        _stoppedAt = state.StoppedAt;
        _waitsForTrigger = state.WaitsForTrigger;
    }

    /// <summary>A low gate holds all modes but those that it only triggers.</summary>
    private bool CountsNow => _gate || _mode is 1 or 5;

    private void LoadCount(int value, long now)
    {
        int count = _bcd ? FromBcd(value) : value;
        _count = count == 0 ? (_bcd ? 10000 : 65536) : count;
        _nullCount = false;
        _waitsForTrigger = _mode is 1 or 5;
        _loadedAt = now;
        _stoppedAt = now;
    }

    private int CurrentCount(long now)
    {
        int range = _bcd ? 10000 : 65536;
        long tick = _nullCount || _waitsForTrigger ? 0 : TickAt(now);
        long count = _mode switch
        {
            2 => _count - (tick % _count),
            3 => _count - (tick * 2 % _count),
            _ => ((_count - tick) % range) + range,
        };
        int value = (int)(count % range);
        return _bcd ? ToBcd(value) : value;
    }

    private static int FromBcd(int value) =>
        Math.Min((((value >> 12) & 0xf) * 1000) + (((value >> 8) & 0xf) * 100) + (((value >> 4) & 0xf) * 10) + (value & 0xf), 10000);

    private static int ToBcd(int value) => (value / 1000 << 12) | (value / 100 % 10 << 8) | (value / 10 % 10 << 4) | (value % 10);
}
