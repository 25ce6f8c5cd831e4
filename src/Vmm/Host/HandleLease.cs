using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>Keeps a handle's descriptor from being closed, and its number reused, while a call uses the number.</summary>
internal readonly ref struct HandleLease
{
    private readonly SafeHandle _handle;

    public HandleLease(SafeHandle handle)
    {
        bool added = false;
        handle.DangerousAddRef(ref added);
        _handle = handle;
    }

    public int Number => (int)_handle.DangerousGetHandle();

    public void Dispose() => _handle.DangerousRelease();
}
