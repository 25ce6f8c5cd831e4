using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>Memory with a file descriptor (memfd_create(2)): mapped by several owners, passed between processes, sparse.</summary>
public sealed class MemoryFile : IDisposable
{
    private MemoryFile(FileDescriptor descriptor, ulong size)
    {
        Descriptor = descriptor;
        Size = size;
    }

    public FileDescriptor Descriptor { get; }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <exception cref="LinuxException">The host has no memory or no descriptors left.</exception>
    public static MemoryFile Create(string name, ulong size)
    {
        int descriptor = MemoryCalls.CreateMemoryFile(name, MemoryCalls.MFD_CLOEXEC | MemoryCalls.MFD_ALLOW_SEALING);
        if (descriptor < 0)
        {
            throw LinuxException.Last("memfd_create");
        }

        var owner = new FileDescriptor(descriptor);
        if (FileCalls.Truncate(descriptor, (long)size) != 0)
        {
            var failure = LinuxException.Last("ftruncate");
            owner.Dispose();
            throw failure;
        }

        // Whoever maps the file relies on its size: a file that shrank would kill a reader in another process by SIGBUS.
        if (MemoryCalls.FileControl(descriptor, MemoryCalls.F_ADD_SEALS, MemoryCalls.F_SEAL_SHRINK | MemoryCalls.F_SEAL_GROW) != 0)
        {
            var failure = LinuxException.Last("fcntl");
            owner.Dispose();
            throw failure;
        }

        return new MemoryFile(owner, size);
    }

    /// <summary>Takes over a memory file that another process made; the descriptor belongs to the result.</summary>
    /// <exception cref="InvalidDataException">Not a memory file whose size is fixed, or not of the size that was announced.</exception>
    public static MemoryFile Adopt(FileDescriptor descriptor, ulong size)
    {
        int seals = MemoryCalls.FileControl(descriptor.Number, MemoryCalls.F_GET_SEALS, 0);
        if (seals < 0 || (seals & MemoryCalls.F_SEAL_SHRINK) == 0 || size == 0 || (ulong)SparseFile.Length(descriptor) != size)
        {
            throw new InvalidDataException("The descriptor is not that of a memory file with a fixed size.");
        }

        return new MemoryFile(descriptor, size);
    }

    public void Dispose() => Descriptor.Dispose();
}
