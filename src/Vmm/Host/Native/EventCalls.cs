using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>eventfd(2), epoll(7), timerfd_create(2), signalfd(2), timer_create(2), signal masks.</summary>
[NativeConstants("sys/eventfd.h", "sys/epoll.h", "sys/timerfd.h", "sys/signalfd.h", "signal.h", "time.h")]
internal static unsafe partial class EventCalls
{
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const uint EPOLLIN = 0x1;
    public const uint EPOLLOUT = 0x4;
    public const uint EPOLLERR = 0x8;
    public const uint EPOLLHUP = 0x10;
    public const uint EPOLLET = 0x80000000;
    public const int TFD_CLOEXEC = 0x80000;
    public const int TFD_NONBLOCK = 0x800;
    public const int TFD_TIMER_ABSTIME = 1;
    public const int SFD_CLOEXEC = 0x80000;
    public const int SIG_BLOCK = 0;
    public const int SIG_UNBLOCK = 1;
    public const int SIG_SETMASK = 2;
    public const int SIGEV_THREAD_ID = 4;
    public const int TIMER_ABSTIME = 1;
    public const int CLOCK_MONOTONIC = 1;
    public const int CLOCK_THREAD_CPUTIME_ID = 3;
    public const int SIGRTMIN = 34;
    public const int SIGRTMAX = 64;
    public const nint SIG_IGN = 1;

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventDescriptor(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static partial int EpollControl(int epoll, int operation, int descriptor, epoll_event* change);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static partial int EpollWait(int epoll, epoll_event* events, int maximum, int milliseconds);

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    public static partial int TimerDescriptor(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    public static partial int SetTimerDescriptor(int descriptor, int flags, itimerspec* next, itimerspec* previous);

    [LibraryImport("libc", EntryPoint = "signalfd", SetLastError = true)]
    public static partial int SignalDescriptor(int descriptor, sigset_t* mask, int flags);

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    public static partial int SignalMask(int how, sigset_t* set, sigset_t* previous);

    [LibraryImport("libc", EntryPoint = "sigtimedwait", SetLastError = true)]
    public static partial int SignalTimedWait(sigset_t* set, void* information, timespec* timeout);

    [LibraryImport("libc", EntryPoint = "signal", SetLastError = true)]
    public static partial nint SignalDisposition(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    public static partial int GetTime(int clock, timespec* time);

    [LibraryImport("libc", EntryPoint = "timer_create", SetLastError = true)]
    public static partial int TimerCreate(int clock, sigevent* notification, nint* timer);

    [LibraryImport("libc", EntryPoint = "timer_settime", SetLastError = true)]
    public static partial int TimerSet(nint timer, int flags, itimerspec* next, itimerspec* previous);

    [LibraryImport("libc", EntryPoint = "timer_delete", SetLastError = true)]
    public static partial int TimerDelete(nint timer);
}

[NativeType("sys/epoll.h")]
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct epoll_event
{
    public uint events;
    public ulong data;
}

[NativeType("time.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct timespec
{
    public long tv_sec;
    public long tv_nsec;

    public static timespec FromNanoseconds(long nanoseconds) =>
        new() { tv_sec = nanoseconds / 1_000_000_000, tv_nsec = nanoseconds % 1_000_000_000 };
}

[NativeType("time.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct itimerspec
{
    public timespec it_interval;
    public timespec it_value;
}

/// <summary>A set of signals: bit n - 1 is signal n.</summary>
[NativeType("signal.h", Name = "sigset_t")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sigset_t
{
    [NativeField("__val")]
    public fixed ulong bits[16];
}

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

[NativeType("sys/signalfd.h", Prefix = true)]
[StructLayout(LayoutKind.Sequential, Size = 128)]
internal struct signalfd_siginfo
{
    public uint ssi_signo;
    public int ssi_errno;
    public int ssi_code;
    public uint ssi_pid;
    public uint ssi_uid;
}
