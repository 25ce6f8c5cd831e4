using System.Diagnostics;

namespace WebVm.Vmm.Time;

/// <summary>
/// The time of one VM: nanoseconds since its first power-on, standing still while the VM is paused or saved. Every timer device
/// and the soft engine's time stamp counter derive from it.
/// </summary>
public sealed class VirtualClock
{
    private readonly Lock _lock = new();
    private long _offset;
    private long _stoppedAt;
    private volatile bool _running;

    /// <summary>Raised after the clock has started, stopped or been set; timers re-arm themselves.</summary>
    public event Action? Changed;

    public bool Running => _running;

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
                _running = false;
            }
        }

        Changed?.Invoke();
    }

    /// <summary>Sets the time of a stopped clock, when a saved VM is restored.</summary>
    public void Set(long nanoseconds)
    {
        lock (_lock)
        {
            if (_running)
            {
                throw new InvalidOperationException("Only a stopped clock can be set.");
            }

            Volatile.Write(ref _stoppedAt, nanoseconds);
        }

        Changed?.Invoke();
    }

    // CLOCK_MONOTONIC: Stopwatch ticks are nanoseconds on Linux.
    private static long HostNow() => Stopwatch.GetTimestamp();
}
