using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>
/// clone(2), mount(2), capset(2), prctl(2), wait4(2), signal(2): making a process, and what walls are made of. Filters are built of these
/// constants, and they are used between clone and exec, so they are C#'s own and not calls of a package.
/// </summary>
[NativeConstants("sched.h", "sys/mount.h", "sys/prctl.h", "signal.h", "linux/capability.h", "fcntl.h", "sys/resource.h")]
internal static unsafe partial class ProcessCalls
{
    public const int CLONE_VM = 0x00000100;
    public const int CLONE_PIDFD = 0x00001000;
    public const int CLONE_THREAD = 0x00010000;
    public const int CLONE_NEWNS = 0x00020000;
    public const int CLONE_NEWUTS = 0x04000000;
    public const int CLONE_NEWIPC = 0x08000000;
    public const int CLONE_NEWUSER = 0x10000000;
    public const int CLONE_NEWPID = 0x20000000;
    public const int CLONE_NEWNET = 0x40000000;
    public const int MS_RDONLY = 1;
    public const int MS_NOSUID = 2;
    public const int MS_NODEV = 4;
    public const int MS_NOEXEC = 8;
    public const int MS_REMOUNT = 32;
    public const int MS_BIND = 4096;
    public const int MS_REC = 16384;
    public const int MS_PRIVATE = 1 << 18;
    public const int MNT_DETACH = 2;
    public const int PR_SET_DUMPABLE = 4;
    public const int PR_CAPBSET_DROP = 24;
    public const int PR_CAP_AMBIENT = 47;
    public const int PR_CAP_AMBIENT_CLEAR_ALL = 4;
    public const int SIGCHLD = 17;
    public const int SIG_SETMASK = 2;
    public const int AT_EMPTY_PATH = 0x1000;
    public const int O_CLOEXEC = 0x80000;
    public const int RLIMIT_FSIZE = 1;
    public const int RLIMIT_SIGPENDING = 11;
    public const int RLIMIT_MSGQUEUE = 12;
    public const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

    [LibraryImport("libc", EntryPoint = "signal", SetLastError = true)]
    public static partial nint SetSignalHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "wait4", SetLastError = true)]
    public static partial int Wait(int process, int* status, int options, void* usage);
}

/// <summary>For capset(2): version 3 takes two <see cref="__user_cap_data_struct"/>.</summary>
[NativeType("linux/capability.h", Name = "struct __user_cap_header_struct")]
[StructLayout(LayoutKind.Sequential)]
internal struct __user_cap_header_struct
{
    public uint version;
    public int pid;
}

[NativeType("linux/capability.h", Name = "struct __user_cap_data_struct")]
[StructLayout(LayoutKind.Sequential)]
internal struct __user_cap_data_struct
{
    public uint effective;
    public uint permitted;
    public uint inheritable;
}
