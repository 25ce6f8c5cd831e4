using Tmds.Linux;

namespace WebVm.Vmm.Host;

/// <summary>An eventfd(2): a counter that KVM, another process or a thread raises and that wakes who polls it.</summary>
public sealed unsafe class EventDescriptor : IDisposable
{
    public EventDescriptor()
    {
        int descriptor = LibC.eventfd(0, LibC.EFD_CLOEXEC | LibC.EFD_NONBLOCK);
        Descriptor = descriptor < 0 ? throw LinuxException.Last("eventfd") : new FileDescriptor(descriptor);
    }

    public FileDescriptor Descriptor { get; }

    public void Signal()
    {
        ulong one = 1;
        _ = LibC.write(Descriptor.Number, &one, sizeof(ulong));
    }

    /// <summary>How often it was signalled since the last call; 0 when it was not. Does not wait.</summary>
    public ulong Consume()
    {
        ulong count;
        return LibC.read(Descriptor.Number, &count, sizeof(ulong)) == sizeof(ulong) ? count : 0;
    }

    public void Dispose() => Descriptor.Dispose();
}
