using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>
/// A timerfd on CLOCK_MONOTONIC (timerfd_create(2)). One thread waits; any thread may move the deadline, which reaches the
/// waiting thread without waking it first.
/// </summary>
public sealed unsafe partial class TimerDescriptor : IDisposable
{
    private const int ClockMonotonic = 1;
    private const int CloseOnExec = 0x80000; // TFD_CLOEXEC
    private const int AbsoluteTime = 1; // TFD_TIMER_ABSTIME
    private const long NanosecondsPerSecond = 1_000_000_000;

    private readonly FileDescriptor _descriptor;

    private TimerDescriptor(FileDescriptor descriptor) => _descriptor = descriptor;

    /// <exception cref="LinuxException">The host has no descriptors left.</exception>
    public static TimerDescriptor Create()
    {
        int descriptor = TimerfdCreate(ClockMonotonic, CloseOnExec);
        return descriptor < 0 ? throw LinuxException.Last("timerfd_create") : new TimerDescriptor(new FileDescriptor(descriptor));
    }

    /// <summary>Expires once at <paramref name="deadline"/>, nanoseconds of CLOCK_MONOTONIC; a past one expires at once.</summary>
    public void Arm(long deadline)
    {
        // An all-zero value would disarm.
        long bounded = Math.Max(deadline, 1);
        Set(new IntervalTimerSpecification
        {
            Value = new TimeSpecification { Seconds = bounded / NanosecondsPerSecond, Nanoseconds = bounded % NanosecondsPerSecond },
        });
    }

    /// <summary>Never expires, until armed again.</summary>
    public void Disarm() => Set(default);

    /// <summary>Sleeps until the timer has expired. It may also return early: look at the clock.</summary>
    public void Wait()
    {
        ulong expirations;

        // The only failures of a blocking read are EINTR and, when an expiry was moved away between wake-up and copy, EAGAIN.
        _ = Read(_descriptor.Number, &expirations, sizeof(ulong));
    }

    public void Dispose() => _descriptor.Dispose();

    private void Set(IntervalTimerSpecification specification)
    {
        if (TimerfdSettime(_descriptor.Number, AbsoluteTime, &specification, null) != 0)
        {
            throw LinuxException.Last("timerfd_settime");
        }
    }

    /// <summary>struct timespec.</summary>
    internal struct TimeSpecification
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary>struct itimerspec.</summary>
    internal struct IntervalTimerSpecification
    {
        public TimeSpecification Interval;
        public TimeSpecification Value;
    }

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    private static partial int TimerfdCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    private static partial int TimerfdSettime(int descriptor, int flags, IntervalTimerSpecification* value, IntervalTimerSpecification* old);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint Read(int descriptor, void* buffer, nuint count);
}
