using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Files in folders that others may write to, or once could: as <see cref="UntrustedFile"/>, and with one name alone, as a second may lead
/// in from elsewhere. What is not such a file is as good as none.
/// </summary>
public static class CheckedFile
{
    /// <summary>A whole file; null when there is none, or more than <paramref name="most"/> bytes.</summary>
    /// <param name="owner">The user whom it has to belong to, writable by nobody else; null for any.</param>
    public static byte[]? TryRead(string path, int most, uint? owner = null)
    {
        using var file = TryOpen(path, owner);
        try
        {
            return file is null ? null : UntrustedFile.Read(file, path, most);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The last bytes of a file; empty when there is none.</summary>
    public static byte[] ReadEnd(string path, int most)
    {
        using var file = TryOpen(path, null);
        if (file is null)
        {
            return [];
        }

        long length = UntrustedFile.Length(file, path);
        byte[] content = new byte[(int)Math.Min(length, most)];
        int done = 0;
        while (done < content.Length && SparseFile.Read(file, length - content.Length + done, content.AsSpan(done)) is > 0 and int count)
        {
            done += count;
        }

        return content[..done];
    }

    /// <summary>Whether somebody holds the lock of a file (flock(2)). There is none on what is no file.</summary>
    public static bool IsLocked(string path)
    {
        using var file = TryOpen(path, null);
        return file is not null && FileCalls.Lock(file.Number, FileCalls.LOCK_SH | FileCalls.LOCK_NB) != 0;
    }

    private static FileDescriptor? TryOpen(string path, uint? owner)
    {
        FileDescriptor file;
        try
        {
            file = UntrustedFile.Open(path);
        }
        catch (InvalidDataException)
        {
            return null;
        }

        if (FileIdentity.Of(file) is { Links: 1 } status
            && (owner is null || (status.Owner == owner && (status.Mode & FileIdentity.WritableByOthers) == 0)))
        {
            return file;
        }

        file.Dispose();
        return null;
    }
}
