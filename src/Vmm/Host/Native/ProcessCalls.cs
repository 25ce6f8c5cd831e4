using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>clone(2), mount(2), capset(2), prctl(2), wait4(2), pidfd_open(2): making a process, and what walls are made of.</summary>
[NativeConstants("sched.h", "sys/mount.h", "sys/prctl.h", "sys/wait.h", "signal.h", "linux/capability.h", "fcntl.h", "sys/file.h", "sys/mman.h", "sys/resource.h")]
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
    public const int SIGHUP = 1;
    public const int SIGINT = 2;
    public const int SIGPIPE = 13;
    public const int SIGTERM = 15;
    public const int SIGCHLD = 17;
    public const int SIG_SETMASK = 2;
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int O_PATH = 0x200000;
    public const int AT_EMPTY_PATH = 0x1000;
    public const int MAP_FIXED_NOREPLACE = 0x100000;
    public const int RLIMIT_MSGQUEUE = 12;
    public const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

    [LibraryImport("libc", EntryPoint = "setsid", SetLastError = true)]
    public static partial int NewSession();

    [LibraryImport("libc", EntryPoint = "umask")]
    public static partial uint SetFileModeMask(uint mask);

    [LibraryImport("libc", EntryPoint = "signal")]
    public static partial nint SetSignalHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Lock(int descriptor, int operation);

    [LibraryImport("libc", EntryPoint = "wait4", SetLastError = true)]
    public static partial int Wait(int process, int* status, int options, void* usage);

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    public static partial int Pipe(int* ends, int flags);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUser();

    [LibraryImport("libc", EntryPoint = "getegid")]
    public static partial uint EffectiveGroup();
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
