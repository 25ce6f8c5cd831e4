using System.Globalization;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// The one door by which the monitor comes to what has a name: files to read and write, devices, listening sockets. A process that was
/// handed descriptors (docs/security.md) uses them under the names that came with them and opens nothing else; one that was handed none, as
/// on a command line, opens what it is told to.
/// </summary>
/// <param name="handed">By name; null for a process that opens names itself.</param>
public sealed class HandedFiles(IReadOnlyDictionary<string, FileDescriptor>? handed = null)
{
    /// <summary>The listening control socket, where one is handed.</summary>
    public const string ControlName = "control";

    /// <summary>/dev/kvm, where it is handed.</summary>
    public const string KvmName = "kvm";

    /// <summary>0, 1 and 2 are the standard streams, which come by themselves.</summary>
    private const int FirstDescriptor = 3;

    private static HandedFiles s_ofProcess = new();

    /// <summary>What this process was handed. Descriptors belong to a process, and so does this.</summary>
    public static HandedFiles OfProcess => Volatile.Read(ref s_ofProcess);

    /// <summary>Nothing is opened by its name.</summary>
    public bool Confined => handed is not null;

    /// <summary>Takes over the descriptors that the process was started with.</summary>
    /// <param name="texts">Of the form FD=NAME; what follows the first '=' is the name. None: the process opens names itself.</param>
    /// <exception cref="InvalidDataException">Not of that form, given twice, or no open descriptor.</exception>
    public static void Adopt(IReadOnlyList<string> texts)
    {
        if (texts.Count > 0)
        {
            Volatile.Write(ref s_ofProcess, new HandedFiles(Read(texts)));
        }
    }

    public bool Has(string name) => handed?.ContainsKey(name) == true;

    /// <summary>A descriptor to read a regular file with; it belongs to the caller.</summary>
    /// <exception cref="InvalidDataException">There is no such file, or it was not handed.</exception>
    public FileDescriptor Open(string name, Links links = Links.Refuse)
    {
        if (!Confined)
        {
            return UntrustedFile.Open(name, links);
        }

        var file = Handed(name) ?? throw new InvalidDataException(NotHanded(name));
        try
        {
            _ = UntrustedFile.Length(file, name);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads a whole file that has at most <paramref name="maximum"/> bytes.</summary>
    /// <exception cref="InvalidDataException">There is no such file, it was not handed, or it is longer.</exception>
    public byte[] Read(string name, int maximum, Links links = Links.Refuse)
    {
        using var file = Open(name, links);
        return UntrustedFile.Read(file, name, maximum);
    }

    /// <summary>A file to write, emptied or new, that only this user may read; it belongs to the caller.</summary>
    /// <exception cref="IOException">It cannot be made, or was not handed.</exception>
    public FileDescriptor Create(string name)
    {
        if (Confined)
        {
            return Handed(name) ?? throw new IOException(NotHanded(name));
        }

        try
        {
            return SparseFile.Open(name, write: true);
        }
        catch (LinuxException failure)
        {
            throw new IOException($"'{name}' cannot be written: {failure.Message}", failure);
        }
    }

    /// <summary>A device; null, with the reason, where there is none for this process.</summary>
    /// <param name="name">Under which it would be handed.</param>
    /// <param name="path">Where it lies.</param>
    public FileDescriptor? TryOpenDevice(string name, string path, out string? reason)
    {
        if (Confined)
        {
            var device = Handed(name);
            reason = device is null ? NotHanded(path) : null;
            return device;
        }

        int number = FileCalls.Open(path, LibC.O_RDWR | LibC.O_CLOEXEC, 0);
        reason = number < 0 ? LinuxException.Last($"open {path}").Message : null;
        return number < 0 ? null : new FileDescriptor(number);
    }

    /// <summary>A listening socket; it belongs to the caller.</summary>
    /// <exception cref="IOException">It cannot be made, or was not handed.</exception>
    public FileDescriptor Listen(string name)
    {
        if (!Confined)
        {
            return UnixSocket.Listen(name);
        }

        var socket = Handed(name) ?? throw new IOException(NotHanded(name));
        if (UnixSocket.IsListening(socket))
        {
            return socket;
        }

        socket.Dispose();
        throw new IOException($"'{name}' was handed, but is no socket that listens.");
    }

    /// <summary>Gives back what is not needed any more: what a process does not have, nobody takes from it.</summary>
    public void Drop(string name)
    {
        if (handed?.GetValueOrDefault(name) is { } descriptor)
        {
            descriptor.Dispose();
        }
    }

    private static string NotHanded(string name) => $"'{name}' was not handed to this process, which opens nothing by name.";

    private static Dictionary<string, FileDescriptor> Read(IReadOnlyList<string> texts)
    {
        Dictionary<string, FileDescriptor> named = new(StringComparer.Ordinal);
        HashSet<int> numbers = [];
        foreach (string text in texts)
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !int.TryParse(text.AsSpan(0, equals), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || number < FirstDescriptor)
            {
                throw new InvalidDataException($"'{text}' is not of the form FD=NAME with a descriptor from {FirstDescriptor} on.");
            }

            // Fails where nothing is open; and from here on no program that is started inherits it.
            if (LibC.fcntl(number, LibC.F_SETFD, LibC.FD_CLOEXEC) != 0)
            {
                throw new InvalidDataException($"Descriptor {number}, handed as '{text[(equals + 1)..]}', is not open.");
            }

            if (!numbers.Add(number) || !named.TryAdd(text[(equals + 1)..], new FileDescriptor(number)))
            {
                throw new InvalidDataException($"'{text}' hands a descriptor or a name twice.");
            }
        }

        return named;
    }

    private FileDescriptor? Handed(string name)
    {
        try
        {
            return handed!.GetValueOrDefault(name)?.Duplicate();
        }
        catch (ObjectDisposedException)
        {
            // Dropped.
            return null;
        }
    }
}
