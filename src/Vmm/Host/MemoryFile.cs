using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>Memory with a file descriptor (memfd_create(2)): mapped by several owners, passed between processes, sparse.</summary>
public sealed partial class MemoryFile : IDisposable
{
    private const uint CloseOnExec = 1; // MFD_CLOEXEC

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
        int descriptor = MemfdCreate(name, CloseOnExec);
        if (descriptor < 0)
        {
            throw LinuxException.Last("memfd_create");
        }

        var owner = new FileDescriptor(descriptor);
        if (Ftruncate(descriptor, (long)size) != 0)
        {
            var failure = LinuxException.Last("ftruncate");
            owner.Dispose();
            throw failure;
        }

        return new MemoryFile(owner, size);
    }

    public void Dispose() => Descriptor.Dispose();

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int Ftruncate(int descriptor, long length);
}
