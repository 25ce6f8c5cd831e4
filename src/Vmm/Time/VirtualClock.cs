using System.Diagnostics;

namespace WebVm.Vmm.Time;

/// <summary>
/// The time of one VM: nanoseconds since its first power-on, standing still while the VM is paused or saved; what it missed it can catch up
/// (<see cref="CatchUp"/>). Every timer device and the soft engine's time stamp counter derive from it.
/// </summary>
public sealed class VirtualClock
{
    /// <summary>No VM gets older than 146 years: what is reckoned from its time does not overflow.</summary>
    public const long Latest = 1L << 62;

    private const long NanosecondsPerTick = 100;

    private readonly Lock _lock = new();
    private long _offset;
    private long _stoppedAt;
    private volatile bool _running;
    private long _caughtUp;

    /// <summary>Raised after the clock has started, stopped or been set; timers re-arm themselves.</summary>
    public event Action? Changed;

    public bool Running => _running;

    /// <summary>When, by the host's calendar, the clock stopped; null while it runs and before it has run.</summary>
    public DateTimeOffset? StoppedAt { get; private set; }

    /// <summary>
    /// Nanoseconds that were skipped to catch up, in all: whoever sees this grow knows of a gap in which the guest did not run.
    /// </summary>
    public long CaughtUp => Volatile.Read(ref _caughtUp);

    /// <summary>Nanoseconds of VM time.</summary>
    public long Now => _running ? HostNow() + Volatile.Read(ref _offset) : Volatile.Read(ref _stoppedAt);

    /// <summary>A clock that shows host time (CLOCK_MONOTONIC, as Stopwatch does) and is never stopped.</summary>
    public static VirtualClock OfHost() => new() { _running = true };

    /// <summary>Lets time run on from where it stopped.</summary>
    public void Start()
    {
        lock (_lock)
        {
            if (!_running)
            {
                Volatile.Write(ref _offset, _stoppedAt - HostNow());
                StoppedAt = null;
                _running = true;
            }
        }

        Changed?.Invoke();
    }

    public void Stop()
    {
        lock (_lock)
        {
            if (_running)
            {
                Volatile.Write(ref _stoppedAt, HostNow() + _offset);
                StoppedAt = DateTimeOffset.UtcNow;
                _running = false;
            }
        }

        Changed?.Invoke();
    }

    /// <summary>Moves a stopped clock on by the time for which it has stood still, so that it shows what it would if it had not.</summary>
    public void CatchUp()
    {
        lock (_lock)
        {
            if (_running || StoppedAt is not { } since)
            {
                return;
            }

            // A host whose calendar was set back has nothing to make up for.
            long missed = Math.Clamp(
                (DateTimeOffset.UtcNow - since).Ticks, 0, (Latest - _stoppedAt) / NanosecondsPerTick) * NanosecondsPerTick;
            Volatile.Write(ref _stoppedAt, _stoppedAt + missed);
            Volatile.Write(ref _caughtUp, _caughtUp + missed);
            StoppedAt = null;
        }

        Changed?.Invoke();
    }

    /// <summary>Sets the time of a stopped clock, when a saved VM is restored.</summary>
    /// <param name="stoppedAt">When it stopped; null when that is not to be caught up.</param>
    public void Set(long nanoseconds, DateTimeOffset? stoppedAt = null)
    {
        lock (_lock)
        {
            if (_running)
            {
                throw new InvalidOperationException("Only a stopped clock can be set.");
            }

            Volatile.Write(ref _stoppedAt, nanoseconds);
            StoppedAt = stoppedAt;
        }

        Changed?.Invoke();
    }

    // CLOCK_MONOTONIC: Stopwatch ticks are nanoseconds on Linux.
    private static long HostNow() => Stopwatch.GetTimestamp();
}
