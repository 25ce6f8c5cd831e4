using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>gettid(2), tgkill(2), sched_setscheduler(2), prctl(2), getrlimit(2).</summary>
[NativeConstants("sys/prctl.h", "sys/resource.h", "unistd.h", "sys/syscall.h")]
internal static unsafe partial class ThreadCalls
{
    public const int PR_SET_NAME = 15;
    public const int PR_GET_NAME = 16;
    public const int PR_GET_SECCOMP = 21;
    public const int PR_SET_NO_NEW_PRIVS = 38;
    public const int PR_GET_NO_NEW_PRIVS = 39;
    public const int RLIMIT_CORE = 4;
    public const int RLIMIT_NPROC = 6;
    public const int RLIMIT_NOFILE = 7;

    [LibraryImport("libc", EntryPoint = "gettid")]
    public static partial int ThreadId();

    [LibraryImport("libc", EntryPoint = "tgkill", SetLastError = true)]
    public static partial int Signal(int process, int thread, int signal);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    public static partial int SetScheduler(int thread, int policy, sched_param* parameters);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    public static partial int ProcessControl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    public static partial int GetLimit(int resource, rlimit* limit);
}

[NativeType("sched.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct sched_param
{
    public int sched_priority;
}

[NativeType("sys/resource.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct rlimit
{
    public ulong rlim_cur;
    public ulong rlim_max;
}
