using Tmds.Linux;
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
        int descriptor = MemoryCalls.CreateMemoryFile(name, LibC.MFD_CLOEXEC | LibC.MFD_ALLOW_SEALING);
        if (descriptor < 0)
        {
            throw LinuxException.Last("memfd_create");
        }

        var owner = new FileDescriptor(descriptor);
        if (LibC.ftruncate(descriptor, (long)size) != 0)
        {
            var failure = LinuxException.Last("ftruncate");
            owner.Dispose();
            throw failure;
        }

        // Whoever maps the file relies on its size: a file that shrank would kill a reader in another process by SIGBUS.
        if (LibC.fcntl(descriptor, LibC.F_ADD_SEALS, LibC.F_SEAL_SHRINK | LibC.F_SEAL_GROW) != 0)
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
        int seals = LibC.fcntl(descriptor.Number, LibC.F_GET_SEALS, 0);
        // One of huge pages has a size and may still have no page behind it: whoever reads there is killed by SIGBUS as well.
        if (seals < 0 || (seals & LibC.F_SEAL_SHRINK) == 0 || size == 0 || (ulong)SparseFile.Length(descriptor) != size
            || FileCalls.FileSystemOf(descriptor.Number) != FileCalls.TMPFS_MAGIC)
        {
            throw new InvalidDataException("The descriptor is not that of a memory file with a fixed size.");
        }

        return new MemoryFile(descriptor, size);
    }

    public void Dispose() => Descriptor.Dispose();
}
