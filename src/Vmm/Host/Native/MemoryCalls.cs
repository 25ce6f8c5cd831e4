using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>mmap(2), memfd_create(2), madvise(2), mbind(2), move_pages(2).</summary>
[NativeConstants("sys/mman.h", "fcntl.h", "linux/mempolicy.h", "sys/syscall.h")]
internal static unsafe partial class MemoryCalls
{
    public const int PROT_NONE = 0;
    public const int PROT_READ = 1;
    public const int PROT_WRITE = 2;
    public const int PROT_EXEC = 4;
    public const int MAP_SHARED = 0x01;
    public const int MAP_PRIVATE = 0x02;
    public const int MAP_FIXED = 0x10;
    public const int MAP_ANONYMOUS = 0x20;
    public const int MAP_NORESERVE = 0x4000;
    public const int MAP_POPULATE = 0x8000;
    public const int MADV_DONTNEED = 4;
    public const int MADV_REMOVE = 9;
    public const int MADV_HUGEPAGE = 14;
    public const int MADV_DONTDUMP = 16;
    public const uint MFD_CLOEXEC = 1;
    public const uint MFD_ALLOW_SEALING = 2;
    public const int F_ADD_SEALS = 0x409;
    public const int F_GET_SEALS = 0x40a;
    public const int F_SEAL_SEAL = 1;
    public const int F_SEAL_SHRINK = 2;
    public const int F_SEAL_GROW = 4;
    public const int F_SEAL_WRITE = 8;
    public const int MPOL_DEFAULT = 0;
    public const int MPOL_PREFERRED = 1;
    public const int MPOL_BIND = 2;
    public const int MPOL_INTERLEAVE = 3;
    public const uint MPOL_MF_STRICT = 1;
    public const uint MPOL_MF_MOVE = 2;
    public const uint MPOL_MF_MOVE_ALL = 4;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial void* Map(void* address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int Advise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int CreateMemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int FileControl(int descriptor, int command, nint argument);

    /// <summary>glibc has no mbind and move_pages of its own (libnuma has), so they are made by number.</summary>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint Bind(nint number, void* address, nuint length, nint mode, ulong* nodes, nuint nodeBits, nuint flags);

    /// <inheritdoc cref="Bind"/>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint MovePages(nint number, nint process, nuint count, void** pages, int* nodes, int* status, nint flags);
}
