using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>openat(2), flock(2), fchownat(2), chmod(2): files by descriptor, where names may be swapped meanwhile.</summary>
[NativeConstants("fcntl.h", "sys/stat.h", "sys/file.h")]
internal static unsafe partial class FileStatusCalls
{
    public const int O_PATH = 0x200000;
    public const int AT_EMPTY_PATH = 0x1000;
    public const int LOCK_SH = 1;
    public const int LOCK_NB = 4;
    public const uint S_IFDIR = 0x4000;

    [LibraryImport("libc", EntryPoint = "openat", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int OpenAt(int directory, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Lock(int descriptor, int operation);

    [LibraryImport("libc", EntryPoint = "fchownat", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int ChangeOwnerAt(int directory, string path, uint user, uint group, int flags);

    [LibraryImport("libc", EntryPoint = "chmod", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int ChangeMode(string path, uint mode);
}
