using System.Runtime.InteropServices;
using Tmds.Linux;

namespace WebVm.Vmm.Host.Native;

/// <summary>timerfd_create(2), timer_create(2), clock_gettime(2).</summary>
[NativeConstants("sys/timerfd.h", "signal.h", "time.h")]
internal static unsafe partial class EventCalls
{
    public const int TFD_CLOEXEC = 0x80000;
    public const int TFD_TIMER_ABSTIME = 1;
    public const int SIGEV_THREAD_ID = 4;
    public const int TIMER_ABSTIME = 1;
    public const int CLOCK_MONOTONIC = 1;
    public const int CLOCK_THREAD_CPUTIME_ID = 3;
    public const int SIGRTMIN = 34;

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    public static partial int TimerDescriptor(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    public static partial int SetTimerDescriptor(int descriptor, int flags, itimerspec* next, itimerspec* previous);

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    public static partial int GetTime(int clock, timespec* time);

    [LibraryImport("libc", EntryPoint = "timer_create", SetLastError = true)]
    public static partial int TimerCreate(int clock, sigevent* notification, nint* timer);

    [LibraryImport("libc", EntryPoint = "timer_settime", SetLastError = true)]
    public static partial int TimerSet(nint timer, int flags, itimerspec* next, itimerspec* previous);

    [LibraryImport("libc", EntryPoint = "timer_delete", SetLastError = true)]
    public static partial int TimerDelete(nint timer);
}

[NativeType("time.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct itimerspec
{
    public timespec it_interval;
    public timespec it_value;

    /// <summary>Expires once, at or after so many nanoseconds.</summary>
    public static itimerspec Once(long nanoseconds) =>
        new() { it_value = new timespec { tv_sec = nanoseconds / 1_000_000_000, tv_nsec = (int)(nanoseconds % 1_000_000_000) } };
}

/// <summary>The package's has no thread to be notified.</summary>
[NativeType("signal.h")]
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct sigevent
{
    public nint sigev_value;
    public int sigev_signo;
    public int sigev_notify;

    [NativeField("_sigev_un._tid")]
    public int sigev_notify_thread_id;
}
