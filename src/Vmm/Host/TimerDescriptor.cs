using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// A timerfd on CLOCK_MONOTONIC (timerfd_create(2)). One thread waits; any thread may move the deadline, which reaches the
/// waiting thread without waking it first.
/// </summary>
public sealed unsafe class TimerDescriptor : IDisposable
{
    private readonly FileDescriptor _descriptor;

    private TimerDescriptor(FileDescriptor descriptor) => _descriptor = descriptor;

    /// <exception cref="LinuxException">The host has no descriptors left.</exception>
    public static TimerDescriptor Create()
    {
        int descriptor = EventCalls.TimerDescriptor(EventCalls.CLOCK_MONOTONIC, EventCalls.TFD_CLOEXEC);
        return descriptor < 0 ? throw LinuxException.Last("timerfd_create") : new TimerDescriptor(new FileDescriptor(descriptor));
    }

    /// <summary>Expires once at <paramref name="deadline"/>, nanoseconds of CLOCK_MONOTONIC; a past one expires at once.</summary>
    public void Arm(long deadline) => Set(itimerspec.Once(Math.Max(deadline, 1))); // An all-zero value would disarm.

    /// <summary>Never expires, until armed again.</summary>
    public void Disarm() => Set(default);

    /// <summary>Sleeps until the timer has expired. It may also return early: look at the clock.</summary>
    public void Wait()
    {
        ulong expirations;

        // The only failures of a blocking read are EINTR and, when an expiry was moved away between wake-up and copy, EAGAIN.
        _ = LibC.read(_descriptor.Number, &expirations, sizeof(ulong));
    }

    public void Dispose() => _descriptor.Dispose();

    private void Set(itimerspec next)
    {
        if (EventCalls.SetTimerDescriptor(_descriptor.Number, EventCalls.TFD_TIMER_ABSTIME, &next, null) != 0)
        {
            throw LinuxException.Last("timerfd_settime");
        }
    }
}
