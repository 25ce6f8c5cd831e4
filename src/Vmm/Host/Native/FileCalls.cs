using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host.Marshalling;

namespace WebVm.Vmm.Host.Native;

/// <summary>Calls that take a file's name, as a string; and lstat(2), fstat(2), flock(2), renameat2(2), which the package lacks.</summary>
[NativeConstants("unistd.h", "stdio.h", "sys/file.h", "linux/magic.h")]
internal static unsafe partial class FileCalls
{
    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;
    public const uint RENAME_NOREPLACE = 1;
    public const uint RENAME_EXCHANGE = 2;
    public const int LOCK_SH = 1;
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;

    /// <summary>What memory files are of, unless of huge pages (memfd_create(2)).</summary>
    public const long TMPFS_MAGIC = 0x01021994;

    public static int Open(string path, int flags, uint mode)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.open(name.Pointer, flags, (ushort)mode);
    }

    public static int OpenAt(int directory, string path, int flags, uint mode)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.openat(directory, name.Pointer, flags, (ushort)mode);
    }

    public static int Unlink(string path)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.unlink(name.Pointer);
    }

    public static int ChangeMode(string path, uint mode)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.chmod(name.Pointer, (ushort)mode);
    }

    public static int ChangeOwnerAt(int directory, string path, uint user, uint group, int flags)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.fchownat(directory, name.Pointer, user, group, flags);
    }

    /// <summary>The package's asks for symbols that new C libraries give to old programs alone (__lxstat).</summary>
    [LibraryImport("libc", EntryPoint = "lstat", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int StatusOf(string path, stat* status);

    /// <summary>By number: glibc makes another call of it, one that takes a name as well (fstatat).</summary>
    public static int Status(int descriptor, stat* status) => (int)LibC.syscall(SystemCall.SYS_fstat, descriptor, status);

    /// <summary>The kind of file system that a file is of (statfs(2), f_type); -1 where that cannot be told.</summary>
    public static long FileSystemOf(int descriptor)
    {
        const int size = 120; // sizeof(struct statfs)
        byte* status = stackalloc byte[size];
        return (int)LibC.syscall(SystemCall.SYS_fstatfs, descriptor, status) == 0 ? *(long*)status : -1;
    }

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Lock(int descriptor, int operation);

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Rename(int oldDirectory, string oldPath, int newDirectory, string newPath, uint flags);
}
