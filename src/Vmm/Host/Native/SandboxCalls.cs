using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>seccomp(2), userfaultfd(2), io_uring_setup(2), landlock_create_ruleset(2), pidfd_open(2): asked here only whether they are there.</summary>
[NativeConstants("linux/seccomp.h", "linux/userfaultfd.h", "linux/landlock.h", "sys/syscall.h", "fcntl.h")]
internal static unsafe partial class SandboxCalls
{
    public const uint SECCOMP_GET_ACTION_AVAIL = 2;
    public const int UFFD_USER_MODE_ONLY = 1;
    public const uint LANDLOCK_CREATE_RULESET_VERSION = 1;

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint Call(nint number, nuint argument1, nuint argument2, nuint argument3);
}
