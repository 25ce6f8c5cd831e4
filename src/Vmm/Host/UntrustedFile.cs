using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>What is made of a symbolic link in the place of a file; links in the folders before it are followed either way.</summary>
public enum Links
{
    /// <summary>The name was found in somebody else's folder: a link there leads where its writer likes.</summary>
    Refuse,

    /// <summary>A person named the file, and may have meant a link (Debian's /vmlinuz).</summary>
    Follow,
}

/// <summary>
/// Files that somebody else wrote, or may have put something else in the place of. Opening never waits (a FIFO without a writer would),
/// what was opened is asked of the descriptor and not of the name, which may mean something else by then, and no more is read than was
/// agreed.
/// </summary>
public static unsafe class UntrustedFile
{
    /// <summary>Opens a regular file for reading.</summary>
    /// <exception cref="InvalidDataException">There is none that may be read under this name. The message names it.</exception>
    /// <exception cref="LinuxException">The host has no descriptor to spare.</exception>
    public static FileDescriptor Open(string path, Links links = Links.Refuse)
    {
        // The kernel takes a name up to its first NUL: it would open another file than the one that was checked.
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal))
        {
            throw new InvalidDataException($"'{path}' is not the name of a file.");
        }

        // O_NOCTTY: a terminal that is opened by mistake does not become the process's own.
        int flags = LibC.O_RDONLY | LibC.O_NONBLOCK | LibC.O_CLOEXEC | LibC.O_NOCTTY | (links == Links.Refuse ? LibC.O_NOFOLLOW : 0);
        int descriptor;
        while ((descriptor = FileCalls.Open(path, flags, 0)) < 0)
        {
            var failure = LinuxException.Last("open");
            switch (failure.Errno)
            {
                case ErrorNumber.EINTR:
                    continue;
                case ErrorNumber.EMFILE or ErrorNumber.ENFILE or ErrorNumber.ENOMEM or ErrorNumber.EIO:
                    throw failure;
                case ErrorNumber.ELOOP when links == Links.Refuse:
                    throw new InvalidDataException($"'{path}' is a symbolic link.", failure);
                default:
                    throw new InvalidDataException($"'{path}' cannot be read: {failure.Message}", failure);
            }
        }

        var file = new FileDescriptor(descriptor);
        try
        {
            _ = Length(file, path);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of an open file.</summary>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="InvalidDataException">It is no regular file.</exception>
    public static long Length(FileDescriptor file, string name)
    {
        using var held = new HandleLease(file);
        stat status;
        if (FileCalls.Status(held.Number, &status) != 0)
        {
            throw LinuxException.Last("fstat");
        }

        return (status.st_mode & LibC.S_IFMT) == LibC.S_IFREG
            ? status.st_size
            : throw new InvalidDataException($"'{name}' is not a regular file.");
    }

    /// <summary>Reads a whole file that has at most <paramref name="maximum"/> bytes.</summary>
    /// <exception cref="InvalidDataException">There is no such file under this name, or it is longer.</exception>
    public static byte[] Read(string path, int maximum, Links links = Links.Refuse)
    {
        using var file = Open(path, links);
        return Read(file, path, maximum);
    }

    /// <summary>
    /// Reads a whole open file that has at most <paramref name="maximum"/> bytes, wherever its position is. Of one that grows meanwhile,
    /// what it had.
    /// </summary>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="InvalidDataException">It is no regular file, or longer.</exception>
    public static byte[] Read(FileDescriptor file, string name, int maximum) => Read(file, 0, CheckedLength(file, name, maximum));

    /// <summary>The same into memory that the caller gives back: for what is large and not needed for long.</summary>
    /// <param name="contents">The buffer's part that was read.</param>
    public static HostBuffer Read(FileDescriptor file, string name, int maximum, out ReadOnlyMemory<byte> contents)
    {
        var buffer = new HostBuffer(CheckedLength(file, name, maximum));
        try
        {
            contents = buffer.Memory[..Fill(file, 0, buffer.GetSpan())];
            return buffer;
        }
        catch
        {
            ((IDisposable)buffer).Dispose();
            throw;
        }
    }

    /// <summary>Reads the last <paramref name="maximum"/> bytes of a file, or all of a shorter one.</summary>
    /// <exception cref="InvalidDataException">There is no such file under this name.</exception>
    public static byte[] ReadEnd(string path, int maximum)
    {
        using var file = Open(path);
        long length = Length(file, path);
        int count = (int)Math.Min(length, maximum);
        return Read(file, length - count, count);
    }

    private static byte[] Read(FileDescriptor file, long offset, int length)
    {
        byte[] contents = GC.AllocateUninitializedArray<byte>(length);
        int done = Fill(file, offset, contents);
        return done == length ? contents : contents[..done];
    }

    /// <summary>Bytes read: less than wanted of a file that was cut meanwhile.</summary>
    private static int Fill(FileDescriptor file, long offset, Span<byte> contents)
    {
        int done = 0;
        while (done < contents.Length && SparseFile.Read(file, offset + done, contents[done..]) is > 0 and var count)
        {
            done += count;
        }

        return done;
    }

    private static int CheckedLength(FileDescriptor file, string name, int maximum)
    {
        long length = Length(file, name);
        return length <= maximum
            ? (int)length
            : throw new InvalidDataException($"'{name}' has {length} bytes, more than the {maximum} that can be read.");
    }
}
