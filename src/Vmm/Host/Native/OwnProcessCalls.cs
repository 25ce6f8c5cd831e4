using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>pidfd_open(2), pidfd_send_signal(2), close_range(2), by number as older C libraries lack them; prctl(2), umask(2), execve(2).</summary>
[NativeConstants("sys/syscall.h", "signal.h", "sys/prctl.h", "linux/close_range.h")]
internal static unsafe partial class OwnProcessCalls
{
    public const nint SYS_pidfd_send_signal = 424;
    public const nint SYS_pidfd_open = 434;
    public const nint SYS_close_range = 436;
    public const uint CLOSE_RANGE_CLOEXEC = 4;
    public const int SIGKILL = 9;
    public const int PR_SET_DUMPABLE = 4;

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint Call(nint number, nint argument1, nint argument2, nint argument3, nint argument4);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    public static partial int Control(int operation, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    [LibraryImport("libc", EntryPoint = "umask")]
    public static partial uint Mask(uint mask);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUser();

    [LibraryImport("libc", EntryPoint = "execve", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Execute(string path, byte** arguments, byte** environment);
}
