using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Gets one thread out of a blocking call, from any thread or at a point in time. The means is a realtime signal that is blocked in
/// the thread and unblocked by the kernel inside the call alone (KVM_SET_SIGNAL_MASK, ppoll), so no handler ever runs: the call
/// fails with EINTR and the signal, still pending, is taken by <see cref="Drain"/>.
/// </summary>
/// <remarks>
/// The signal is ignored process-wide. Linux keeps a blocked signal pending even so, and one that reaches a thread which never
/// blocked it is dropped instead of ending the process.
/// </remarks>
internal sealed unsafe class ThreadKick : IDisposable
{
    /// <summary>Above the signals that glibc (32, 33) and the .NET runtime (SIGRTMIN) use.</summary>
    public const int Signal = EventCalls.SIGRTMIN + 6;

    private static readonly nint s_ignored = ProcessCalls.SetSignalHandler(Signal, (nint)LibC.SIG_IGN);
    private static readonly sigset_t s_set = Set();
    private static readonly int s_process = Environment.ProcessId;

    private int _owner;
    private int _inside;
    private nint _timer;
    private bool _hasTimer;
    private long _armed;

    /// <summary>All signals but the kick: what stays blocked inside the call.</summary>
    public static ulong MaskInsideCall => ~(1UL << (Signal - 1));

    /// <summary>Makes the signal one that is ignored, now: a vCPU's thread that is locked in may not say so.</summary>
    public static void Prepare() => _ = s_ignored;

    /// <summary>The calling thread is about to make calls; kicks reach it from here on.</summary>
    /// <param name="deadline">CLOCK_MONOTONIC nanoseconds of an automatic kick; 0 for none.</param>
    public void Enter(long deadline)
    {
        int thread = ThreadCalls.ThreadId();
        if (_owner != thread)
        {
            Adopt(thread);
        }

        if (deadline != _armed)
        {
            Arm(deadline);
        }

        // A full fence: who kicks sets its request first and reads this second.
        Interlocked.Exchange(ref _inside, thread);
    }

    public void Leave() => Volatile.Write(ref _inside, 0);

    /// <summary>
    /// Interrupts the thread's call, if it is between <see cref="Enter"/> and <see cref="Leave"/>. The reason must have been published
    /// before.
    /// </summary>
    public void Send()
    {
        Interlocked.MemoryBarrier();
        int thread = Volatile.Read(ref _inside);
        if (thread != 0)
        {
            _ = ThreadCalls.Signal(s_process, thread, Signal);
        }
    }

    /// <summary>Takes pending kicks off the thread. Look at the reasons after it, never before.</summary>
    public void Drain()
    {
        var set = s_set;
        var now = default(timespec);
        while (LibC.sigtimedwait(&set, null, &now) == Signal)
        {
        }

        // A timer that has fired is not armed any more.
        if (_armed != 0 && System.Diagnostics.Stopwatch.GetTimestamp() >= _armed)
        {
            _armed = 0;
        }
    }

    public void Dispose()
    {
        if (_hasTimer)
        {
            _ = EventCalls.TimerDelete(_timer);
            _hasTimer = false;
        }
    }

    private static sigset_t Set()
    {
        var set = default(sigset_t);
        _ = LibC.sigaddset(&set, Signal);
        return set;
    }

    private void Adopt(int thread)
    {
        if (s_ignored == -1)
        {
            throw new LinuxException("signal", ErrorNumber.EINVAL);
        }

        Dispose();
        var set = s_set;
        int error = LibC.pthread_sigmask(LibC.SIG_BLOCK, &set, null);
        if (error != 0)
        {
            throw new LinuxException("pthread_sigmask", error);
        }

        _owner = thread;
        _armed = 0;
    }

    private void Arm(long deadline)
    {
        if (!_hasTimer)
        {
            var notification = new sigevent { sigev_notify = EventCalls.SIGEV_THREAD_ID, sigev_signo = Signal,
                sigev_notify_thread_id = _owner };
            nint timer;
            if (EventCalls.TimerCreate(EventCalls.CLOCK_MONOTONIC, &notification, &timer) != 0)
            {
                throw LinuxException.Last("timer_create");
            }

            _timer = timer;
            _hasTimer = true;
        }

        var next = itimerspec.Once(deadline);
        if (EventCalls.TimerSet(_timer, EventCalls.TIMER_ABSTIME, &next, null) != 0)
        {
            throw LinuxException.Last("timer_settime");
        }

        _armed = deadline;
    }
}
