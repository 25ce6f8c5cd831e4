using System.Diagnostics;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Time;

/// <summary>
/// All timers of one VM: a heap of deadlines and one thread that sleeps in a timerfd until the earliest. While the clock stands still
/// nothing fires, and deadlines stay as they are.
/// </summary>
public sealed class TimerService : ITimerService, IDisposable
{
    /// <summary>Longest sleep; keeps deadlines far in the future (a guest may ask for any) away from overflow.</summary>
    internal const long LongestSleep = 3_600_000_000_000;

    private readonly Lock _lock = new();
    private readonly TimerDescriptor _descriptor = TimerDescriptor.Create();
    private readonly Thread _thread;
    private readonly bool _urgent;
    private readonly Action? _begun;

    /// <summary>
    /// Armed timers as a binary heap, the earliest first; each knows its place. Grows with the number of timers made, not armed.
    /// </summary>
    private VirtualTimer[] _heap = new VirtualTimer[16];
    private int _armed;
    private int _timers;
    private long _sequence;

    /// <summary>Host time for which the timerfd is set; <see cref="long.MaxValue"/> when it is not.</summary>
    private long _wakeAt = long.MaxValue;

    /// <summary>The timer whose callback runs.</summary>
    private VirtualTimer? _running;
    private bool _disposed;

    /// <param name="begun">Called on the thread before all else.</param>
    public TimerService(VirtualClock clock, Action? begun = null)
        : this(clock, "timers", urgent: false, begun)
    {
    }

    /// <param name="thread">Name of the thread.</param>
    /// <param name="urgent">The thread runs before all ordinary ones, where the host lets us: for callbacks that do next to
    /// nothing.</param>
    /// <param name="begun">Called on the thread before all else.</param>
    internal TimerService(VirtualClock clock, string thread, bool urgent, Action? begun = null)
    {
        _begun = begun;
        Clock = clock;
        clock.Changed += ClockChanged;
        _urgent = urgent;
        _thread = new Thread(Loop) { Name = thread, IsBackground = true };
        _thread.Start();
    }

    public VirtualClock Clock { get; }

    public IVirtualTimer CreateTimer(Action expired)
    {
        ArgumentNullException.ThrowIfNull(expired);
        lock (_lock)
        {
            if (++_timers > _heap.Length)
            {
                Array.Resize(ref _heap, _heap.Length * 2);
            }

            return new VirtualTimer(this, expired);
        }
    }

    /// <summary>Ends the thread. A callback in progress is waited for, unless it is the caller.</summary>
    public void Dispose()
    {
        Clock.Changed -= ClockChanged;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _descriptor.Arm(0);
        }

        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }
    }

    private void Arm(VirtualTimer timer, long deadline)
    {
        lock (_lock)
        {
            if (timer.Disposed)
            {
                return;
            }

            timer.Deadline = deadline;
            timer.Sequence = _sequence++;
            if (timer.Place < 0)
            {
                timer.Place = _armed++;
                _heap[timer.Place] = timer;
            }

            Restore(timer.Place);
            if (timer.Place == 0)
            {
                Program(onlyEarlier: true);
            }
        }
    }

    private void Cancel(VirtualTimer timer, bool wait, bool dispose)
    {
        var spinner = default(SpinWait);
        while (true)
        {
            lock (_lock)
            {
                Remove(timer);
                if (dispose && !timer.Disposed)
                {
                    timer.Disposed = true;
                    _timers--;
                }

                if (!wait || _running != timer || Thread.CurrentThread == _thread)
                {
                    return;
                }
            }

            // Rare (a device stops) and short (a callback is): waiting by yielding needs no signal on the hot path. The callback
            // may arm its timer again, hence the loop.
            spinner.SpinOnce();
        }
    }

    private void Withdraw(VirtualTimer timer)
    {
        lock (_lock)
        {
            bool first = timer.Place == 0;
            Remove(timer);
            if (first)
            {
                Program(onlyEarlier: false);
            }
        }
    }

    private void ClockChanged()
    {
        lock (_lock)
        {
            Program(onlyEarlier: false);
        }
    }

    private void Loop()
    {
        if (_urgent)
        {
            ThreadUrgency.TryRaise();
        }

        _begun?.Invoke();

        while (true)
        {
            _descriptor.Wait();
            while (TakeExpired() is { } timer)
            {
                timer.Expired();
                Volatile.Write(ref _running, null);
            }

            lock (_lock)
            {
                if (_disposed)
                {
                    _descriptor.Dispose();
                    return;
                }

                _wakeAt = long.MaxValue;
                Program(onlyEarlier: true);
            }
        }
    }

    private VirtualTimer? TakeExpired()
    {
        lock (_lock)
        {
            if (_armed == 0 || _disposed || !Clock.Running || _heap[0].Deadline > Clock.Now)
            {
                return null;
            }

            var timer = _heap[0];
            Remove(timer);
            Volatile.Write(ref _running, timer);
            return timer;
        }
    }

    /// <summary>
    /// Sets the timerfd for the earliest deadline. A deadline that moved away is not worth a system call: the thread then wakes
    /// once for nothing and sets it anew.
    /// </summary>
    private void Program(bool onlyEarlier)
    {
        if (_disposed)
        {
            return;
        }

        if (_armed == 0 || !Clock.Running)
        {
            if (!onlyEarlier && _wakeAt != long.MaxValue)
            {
                _wakeAt = long.MaxValue;
                _descriptor.Disarm();
            }

            return;
        }

        // Stopwatch ticks are CLOCK_MONOTONIC in nanoseconds on Linux, as the timerfd's are.
        // The later reading is the one added: waking a little late beats waking a little early, which means sleeping again.
        long remaining = (long)Int128.Clamp((Int128)_heap[0].Deadline - Clock.Now, 0, LongestSleep);
        long wakeAt = Stopwatch.GetTimestamp() + remaining;
        if (!onlyEarlier || wakeAt < _wakeAt)
        {
            _wakeAt = wakeAt;
            _descriptor.Arm(wakeAt);
        }
    }

    private void Remove(VirtualTimer timer)
    {
        int place = timer.Place;
        if (place < 0)
        {
            return;
        }

        timer.Place = -1;
        var last = _heap[--_armed];
        _heap[_armed] = null!;
        if (last != timer)
        {
            last.Place = place;
            _heap[place] = last;
            Restore(place);
        }
    }

    /// <summary>Moves the timer at that place to where its deadline belongs.</summary>
    private void Restore(int place)
    {
        var timer = _heap[place];
        while (place > 0 && timer.IsBefore(_heap[(place - 1) / 2]))
        {
            Put(_heap[(place - 1) / 2], place);
            place = (place - 1) / 2;
        }

        while (true)
        {
            int child = (2 * place) + 1;
            if (child + 1 < _armed && _heap[child + 1].IsBefore(_heap[child]))
            {
                child++;
            }

            if (child >= _armed || !_heap[child].IsBefore(timer))
            {
                break;
            }

            Put(_heap[child], place);
            place = child;
        }

        Put(timer, place);
    }

    private void Put(VirtualTimer timer, int place)
    {
        _heap[place] = timer;
        timer.Place = place;
    }

    private sealed class VirtualTimer(TimerService service, Action expired) : IVirtualTimer
    {
        /// <summary>Index in the heap, or -1 while not armed.</summary>
        public int Place = -1;
        public long Deadline;

        /// <summary>Orders timers with the same deadline as they were armed.</summary>
        public long Sequence;
        public bool Disposed;

        public Action Expired { get; } = expired;

        public bool IsBefore(VirtualTimer other) =>
            Deadline < other.Deadline || (Deadline == other.Deadline && Sequence < other.Sequence);

        public void Arm(long deadline) => service.Arm(this, deadline);

        public void Cancel() => service.Cancel(this, wait: false, dispose: false);

        public void Withdraw() => service.Withdraw(this);

        public void CancelAndWait() => service.Cancel(this, wait: true, dispose: false);

        public void Dispose() => service.Cancel(this, wait: false, dispose: true);
    }
}
