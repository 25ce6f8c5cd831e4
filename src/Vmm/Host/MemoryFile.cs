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

        return new MemoryFile(owner, size);
    }

    public void Dispose() => Descriptor.Dispose();
}
