using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

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

    protected override bool ReleaseHandle() => Close((int)handle) == 0;

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
