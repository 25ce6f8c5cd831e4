using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>A stretch of a sparse file.</summary>
public delegate void SparseData(long offset, ReadOnlySpan<byte> data);

/// <summary>Files with holes: memory of a guest and its saved image (lseek(2) SEEK_DATA, fallocate(2)).</summary>
public static unsafe class SparseFile
{
    public const int ChunkSize = 1 << 20;
    private const int PageSize = 4096;

    /// <summary>Opens for reading, or creates or empties for writing.</summary>
    public static FileDescriptor Open(string path, bool write) =>
        Open(path, write ? LibC.O_RDWR | LibC.O_CREAT | LibC.O_TRUNC : LibC.O_RDONLY);

    /// <summary>Makes a file that was not there, to be read and written by this user alone.</summary>
    public static FileDescriptor CreateNew(string path) => Open(path, LibC.O_RDWR | LibC.O_CREAT | LibC.O_EXCL);

    private static FileDescriptor Open(string path, int flags)
    {
        int descriptor = FileCalls.Open(path, flags | LibC.O_CLOEXEC, 0b110_000_000);
        return descriptor < 0 ? throw LinuxException.Last("open") : new FileDescriptor(descriptor);
    }

    /// <summary>Bytes, holes included.</summary>
    public static long Length(FileDescriptor file)
    {
        long length = LibC.lseek(file.Number, 0, LibC.SEEK_END);
        return length < 0 ? throw LinuxException.Last("lseek") : length;
    }

    public static void SetLength(FileDescriptor file, long length)
    {
        if (LibC.ftruncate(file.Number, length) != 0)
        {
            throw LinuxException.Last("ftruncate");
        }
    }

    /// <summary>The next stretch at or after <paramref name="offset"/> that holds data; null when only holes follow.</summary>
    public static (long Start, long End)? NextData(FileDescriptor file, long offset)
    {
        long start = LibC.lseek(file.Number, offset, FileCalls.SEEK_DATA);
        if (start < 0)
        {
            var failure = LinuxException.Last("lseek");
            return failure.Errno == ErrorNumber.ENXIO ? null : throw failure;
        }

        long end = LibC.lseek(file.Number, start, FileCalls.SEEK_HOLE);
        return end < 0 ? throw LinuxException.Last("lseek") : (start, end);
    }

    /// <summary>Gives the pages of a range back to the host; they read as zero from now on.</summary>
    public static void PunchHole(FileDescriptor file, long offset, long length)
    {
        if (LibC.fallocate(file.Number, LibC.FALLOC_FL_PUNCH_HOLE | LibC.FALLOC_FL_KEEP_SIZE, offset, length) != 0)
        {
            throw LinuxException.Last("fallocate");
        }
    }

    /// <summary>
    /// Makes <paramref name="destination"/> (empty, or known to be zero) equal to <paramref name="source"/>. Holes stay holes, and pages of
    /// zeros become holes.
    /// </summary>
    /// <param name="reached">Told now and then up to which offset both are equal.</param>
    /// <returns>Bytes of data written.</returns>
    public static long Copy(
        FileDescriptor source, FileDescriptor destination, Action<long>? reached = null, CancellationToken cancellation = default)
    {
        SetLength(destination, Length(source));
        return Read(source, (offset, data) => Write(destination, offset, data), reached, cancellation);
    }

    /// <summary>Gives all that is not zero, in stretches of whole pages and at most <see cref="ChunkSize"/> bytes, in order.</summary>
    /// <param name="reached">Told now and then up to which offset all has been given.</param>
    /// <returns>Bytes given.</returns>
    public static long Read(FileDescriptor source, SparseData data, Action<long>? reached = null, CancellationToken cancellation = default)
    {
        long length = Length(source);
        var buffer = new byte[ChunkSize];
        long given = 0;
        long offset = 0;
        while (offset < length && NextData(source, offset) is var (start, end))
        {
            for (long at = start; at < end;)
            {
                cancellation.ThrowIfCancellationRequested();
                int count = Read(source, at, buffer.AsSpan(0, (int)Math.Min(ChunkSize, end - at)));
                if (count == 0)
                {
                    return given;
                }

                given += GiveWithoutZeros(data, at, buffer.AsSpan(0, count));
                at += count;
                reached?.Invoke(at);
            }

            offset = end;
        }

        return given;
    }

    /// <summary>Bytes of a file that are not holes.</summary>
    public static long DataLength(FileDescriptor file)
    {
        long length = Length(file);
        long sum = 0;
        for (long offset = 0; offset < length && NextData(file, offset) is var (start, end); offset = end)
        {
            sum += end - start;
        }

        return sum;
    }

    /// <summary>Reads up to the buffer's length; 0 only at the end of the file.</summary>
    public static int Read(FileDescriptor file, long offset, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            long count;
            while ((count = LibC.pread(file.Number, start, buffer.Length, offset)) < 0)
            {
                ThrowUnlessInterrupted("pread");
            }

            return (int)count;
        }
    }

    /// <summary>Writes all of the buffer.</summary>
    public static void Write(FileDescriptor file, long offset, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            for (int done = 0; done < buffer.Length;)
            {
                long count = LibC.pwrite(file.Number, start + done, buffer.Length - done, offset + done);
                if (count < 0)
                {
                    ThrowUnlessInterrupted("pwrite");
                    continue;
                }

                done += (int)count;
            }
        }
    }

    private static long GiveWithoutZeros(SparseData give, long offset, ReadOnlySpan<byte> data)
    {
        long given = 0;
        int at = 0;
        while (at < data.Length)
        {
            int begin = at;
            bool zero = IsZeroPage(data, at);
            while (at < data.Length && IsZeroPage(data, at) == zero)
            {
                at = Math.Min(at + PageSize, data.Length);
            }

            if (!zero)
            {
                give(offset + begin, data[begin..at]);
                given += at - begin;
            }
        }

        return given;
    }

    private static bool IsZeroPage(ReadOnlySpan<byte> data, int at) =>
        !data.Slice(at, Math.Min(PageSize, data.Length - at)).ContainsAnyExcept((byte)0);

    private static void ThrowUnlessInterrupted(string call)
    {
        var failure = LinuxException.Last(call);
        if (failure.Errno != ErrorNumber.EINTR)
        {
            throw failure;
        }
    }
}
