using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;

namespace WebVm.Vmm.Host;

/// <summary>Owner of one Linux file descriptor.</summary>
public sealed partial class FileDescriptor : SafeHandleMinusOneIsInvalid
{
    public FileDescriptor()
        : base(ownsHandle: true)
    {
    }

    public FileDescriptor(int descriptor)
        : base(ownsHandle: true) => SetHandle(descriptor);

    /// <summary>The bare number, valid only while this owner is alive.</summary>
    public int Number => (int)handle;

    /// <summary>Another descriptor of the same open file, with an owner of its own.</summary>
    public FileDescriptor Duplicate()
    {
        using var held = new HandleLease(this);
        int copy = LibC.fcntl(held.Number, LibC.F_DUPFD_CLOEXEC, 0);
        return copy < 0 ? throw LinuxException.Last("fcntl") : new FileDescriptor(copy);
    }

    protected override bool ReleaseHandle() => Close((int)handle) == 0;

    // Not the package's, which keeps errno: a descriptor is closed before the failure of another call is told.
    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
