using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>Steps by which a saved state becomes visible all at once and survives a crash of the host.</summary>
public static class DurableFiles
{
    /// <summary>Makes the names in a directory durable: a created, renamed or removed file is only safe after this (fsync(2)).</summary>
    public static void SynchronizeDirectory(string path) => Synchronize(path, LibC.O_DIRECTORY);

    /// <summary>Makes everything below a directory durable. A link is not followed.</summary>
    public static void SynchronizeTree(string path)
    {
        foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos())
        {
            if (entry is DirectoryInfo { LinkTarget: null })
            {
                SynchronizeTree(entry.FullName);
            }
            else if (entry is FileInfo { LinkTarget: null })
            {
                Synchronize(entry.FullName, LibC.O_NOFOLLOW);
            }
        }

        SynchronizeDirectory(path);
    }

    /// <summary>Makes a file's contents durable.</summary>
    public static void Synchronize(FileDescriptor file)
    {
        if (LibC.fsync(file.Number) != 0)
        {
            throw LinuxException.Last("fsync");
        }
    }

    /// <summary>Gives a file or directory its final name in one step. False if something has that name already.</summary>
    public static bool TryPublish(string temporary, string final)
    {
        if (FileCalls.Rename(LibC.AT_FDCWD, temporary, LibC.AT_FDCWD, final, FileCalls.RENAME_NOREPLACE) == 0)
        {
            return true;
        }

        var failure = LinuxException.Last("renameat2");
        return failure.Errno == ErrorNumber.EEXIST ? false : throw failure;
    }

    /// <summary>
    /// Gives a file or directory its final name in one step. What had the name before has the temporary name afterwards, for the caller
    /// to delete; there is no moment at which the final name is missing or half there.
    /// </summary>
    /// <returns>Whether there was something to exchange with.</returns>
    public static bool PublishReplacing(string temporary, string final)
    {
        while (!TryPublish(temporary, final))
        {
            if (FileCalls.Rename(LibC.AT_FDCWD, temporary, LibC.AT_FDCWD, final, FileCalls.RENAME_EXCHANGE) == 0)
            {
                return true;
            }

            var failure = LinuxException.Last("renameat2");
            if (failure.Errno != ErrorNumber.ENOENT)
            {
                throw failure;
            }
        }

        return false;
    }

    private static void Synchronize(string path, int flags)
    {
        int descriptor = FileCalls.Open(path, LibC.O_RDONLY | LibC.O_CLOEXEC | flags, 0);
        if (descriptor < 0)
        {
            throw LinuxException.Last("open");
        }

        using var file = new FileDescriptor(descriptor);
        Synchronize(file);
    }
}
