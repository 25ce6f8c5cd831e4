using WebVm.Vmm.Time;

namespace WebVm.Vmm.Interrupts;

/// <summary>
/// The timer of a local APIC (SDM Vol. 3A §11.5.4). Its bus clock is 1 GHz, as KVM's is: one tick is a nanosecond of VM time.
/// </summary>
internal sealed class LocalApicTimer : IDisposable
{
    /// <summary>
    /// A guest that asks for a periodic interrupt more often gets this one, in nanoseconds: interrupts of one vector merge anyway, and a
    /// period of a few ticks would keep the timer thread busy for nobody.
    /// </summary>
    private const long ShortestPeriod = 50_000;

    private readonly Lock _lock = new();
    private readonly IVirtualTimer _timer;
    private readonly VirtualClock _clock;
    private readonly Action _expired;

    private TimerMode _mode;
    private uint _initialCount;
    private int _shift = 1;

    /// <summary>VM time of the next expiry, 0 while stopped.</summary>
    private long _deadline;
    private ulong _tscDeadline;

    /// <summary>The vCPU sleeps and looks at the clock itself.</summary>
    private bool _kept;

    /// <param name="expired">Called on the timer thread or the vCPU's, without a lock.</param>
    public LocalApicTimer(ITimerService timers, Action expired)
    {
        _clock = timers.Clock;
        _expired = expired;
        _timer = timers.CreateTimer(TimerFired);
    }

    /// <summary>LVT timer bits 18:17.</summary>
    private enum TimerMode : byte
    {
        OneShot = 0,
        Periodic = 1,
        TscDeadline = 2,
        Reserved = 3,
    }

    public long Deadline
    {
        get
        {
            lock (_lock)
            {
                return _deadline;
            }
        }
    }

    public uint InitialCount => _initialCount;

    /// <summary>IA32_TSC_DEADLINE: 0 when not armed or in another mode.</summary>
    public ulong TscDeadline => Volatile.Read(ref _tscDeadline);

    public bool CountsTsc => _mode == TimerMode.TscDeadline;

    public uint CurrentCount
    {
        get
        {
            lock (_lock)
            {
                return _deadline == 0 || _mode == TimerMode.TscDeadline
                    ? 0
                    : (uint)Math.Min(RemainingTime(_clock.Now) >> _shift, uint.MaxValue);
            }
        }
    }

    /// <summary>Takes the mode out of the LVT entry. Entering or leaving TSC-deadline mode disarms (SDM Vol. 3A §11.5.4.1).</summary>
    public void SetMode(uint lvt)
    {
        var mode = (TimerMode)((lvt >> 17) & 3);
        lock (_lock)
        {
            if (mode == _mode)
            {
                return;
            }

            bool disarm = mode == TimerMode.TscDeadline || _mode == TimerMode.TscDeadline;
            _mode = mode;
            if (disarm)
            {
                Stop();
            }
        }
    }

    public void SetInitialCount(uint count)
    {
        lock (_lock)
        {
            if (_mode == TimerMode.TscDeadline)
            {
                return;
            }

            _initialCount = count;
            if (count == 0)
            {
                Stop();
            }
            else
            {
                Arm(_clock.Now + Period);
            }
        }
    }

    /// <summary>Divide configuration register bits 3, 1 and 0; a running count goes on at the new rate.</summary>
    public void SetDivide(uint configuration)
    {
        int encoded = (int)((configuration & 3) | ((configuration & 8) >> 1));
        lock (_lock)
        {
            int shift = (encoded + 1) & 7;
            if (_deadline != 0 && _mode != TimerMode.TscDeadline && shift != _shift)
            {
                long now = _clock.Now;
                long count = RemainingTime(now) >> _shift;
                _shift = shift;
                Arm(now + (count << shift));
            }

            _shift = shift;
        }
    }

    /// <summary>A write to IA32_TSC_DEADLINE; other modes ignore it.</summary>
    /// <param name="deadline">The VM time at which the TSC reaches <paramref name="tsc"/>.</param>
    public void SetTscDeadline(ulong tsc, long deadline)
    {
        lock (_lock)
        {
            if (_mode != TimerMode.TscDeadline)
            {
                return;
            }

            if (tsc == 0)
            {
                Stop();
                return;
            }

            Volatile.Write(ref _tscDeadline, tsc);
            if (deadline > _clock.Now)
            {
                Arm(deadline);
                return;
            }

            Stop();
        }

        _expired();
    }

    public void Reset()
    {
        lock (_lock)
        {
            Stop();
            _mode = TimerMode.OneShot;
            _initialCount = 0;
            _shift = 1;
        }
    }

    /// <summary>Continues a saved timer that is not in TSC-deadline mode.</summary>
    /// <param name="deadline">VM time, or 0 to take <paramref name="currentCount"/> instead.</param>
    public void Load(uint lvt, uint initialCount, uint divide, long deadline, uint currentCount)
    {
        Reset();
        SetDivide(divide);
        SetMode(lvt);
        lock (_lock)
        {
            if (_mode == TimerMode.TscDeadline)
            {
                return;
            }

            _initialCount = initialCount;
            if (deadline != 0)
            {
                Arm(deadline);
            }
            else if (currentCount != 0)
            {
                Arm(_clock.Now + ((long)currentCount << _shift));
            }
        }
    }

    /// <summary>Continues a saved timer in TSC-deadline mode, or remembers the deadline for a mode that is still to be loaded.</summary>
    public void LoadTscDeadline(ulong tsc, long deadline)
    {
        lock (_lock)
        {
            Volatile.Write(ref _tscDeadline, tsc);
            if (_mode == TimerMode.TscDeadline)
            {
                if (tsc == 0)
                {
                    Stop();
                }
                else
                {
                    Arm(Math.Max(deadline, 1));
                }
            }
        }
    }

    /// <summary>The vCPU goes to sleep and wakes up for the deadline by itself: no other thread has to wake first.</summary>
    public void Keep()
    {
        lock (_lock)
        {
            _kept = true;
            _timer.Withdraw();
        }
    }

    /// <summary>The deadline of a kept timer may have come. On the vCPU's thread.</summary>
    public void Expire() => TimerFired();

    /// <summary>The vCPU is awake: somebody else has to look at the clock.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            _kept = false;
            if (_deadline != 0)
            {
                _timer.Arm(_deadline);
            }
        }
    }

    public void Dispose() => _timer.Dispose();

    private long Period => (long)_initialCount << _shift;

    private long RemainingTime(long now)
    {
        long remaining = _deadline - now;
        if (remaining > 0)
        {
            return remaining;
        }

        // Expired, and the timer thread has not been here yet.
        return _mode == TimerMode.Periodic && Period > 0 ? Period - (-remaining % Period) : 0;
    }

    private void Arm(long deadline)
    {
        _deadline = deadline;
        if (!_kept)
        {
            _timer.Arm(deadline);
        }
    }

    private void Stop()
    {
        _deadline = 0;
        Volatile.Write(ref _tscDeadline, 0);
        _timer.Cancel();
    }

    private void TimerFired()
    {
        lock (_lock)
        {
            // The vCPU may have moved the deadline while this call was on its way.
            long now = _clock.Now;
            if (_deadline == 0 || now < _deadline)
            {
                return;
            }

            if (_mode == TimerMode.Periodic && Period > 0)
            {
                // Periods that passed unnoticed are dropped: their interrupts would have merged into one.
                long next = _deadline + Period;
                if (next < now + ShortestPeriod)
                {
                    long earliest = now + ShortestPeriod;
                    next += (earliest - next + Period - 1) / Period * Period;
                }

                Arm(next);
            }
            else
            {
                _deadline = 0;
                Volatile.Write(ref _tscDeadline, 0);
            }
        }

        _expired();
    }
}
