using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>What an open file is (fstat(2)).</summary>
/// <param name="Mode">Permission bits.</param>
/// <param name="Links">Names that it has.</param>
public readonly record struct FileIdentity(
    ulong Device, ulong Number, uint Owner, uint Mode, ulong Links, long Length, bool IsRegular, bool IsDirectory)
{
    /// <summary>Permission bits by which group and others write.</summary>
    public const uint WritableByOthers = 0b000_010_010;

    private const uint Permissions = 0xfff;

    public static unsafe FileIdentity Of(FileDescriptor file)
    {
        using var held = new HandleLease(file);
        stat status;
        return FileCalls.Status(held.Number, &status) == 0 ? From(status) : throw LinuxException.Last("fstat");
    }

    /// <summary>What has a name, without following a link; null when nothing has it.</summary>
    public static FileIdentity? Of(string path)
    {
        using var file = TryLocate(LibC.AT_FDCWD, path);
        return file is null ? null : Of(file);
    }

    /// <summary>
    /// What a name leads to, by links too: of a process's descriptor, for one (/proc/PID/fd); null when it leads nowhere.
    /// </summary>
    public static FileIdentity? OfTarget(string path)
    {
        int descriptor = FileCalls.Open(path, LibC.O_PATH | LibC.O_CLOEXEC, 0);
        if (descriptor < 0)
        {
            return null;
        }

        using var file = new FileDescriptor(descriptor);
        return Of(file);
    }

    /// <summary>Whether both are the same file.</summary>
    public bool IsSameAs(FileIdentity? other) => other is { } file && file.Device == Device && file.Number == Number;

    /// <summary>Stands for what has a name, be it a link: it can be neither read nor written.</summary>
    internal static FileDescriptor? TryLocate(int directory, string path)
    {
        int descriptor = FileCalls.OpenAt(directory, path, LibC.O_PATH | LibC.O_NOFOLLOW | LibC.O_CLOEXEC, 0);
        return descriptor < 0 ? null : new FileDescriptor(descriptor);
    }

    private static FileIdentity From(in stat status) => new(
        status.st_dev, status.st_ino, status.st_uid, (ushort)status.st_mode & Permissions, status.st_nlink, status.st_size,
        (status.st_mode & LibC.S_IFMT) == LibC.S_IFREG, (status.st_mode & LibC.S_IFMT) == LibC.S_IFDIR);
}
