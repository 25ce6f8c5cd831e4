using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>A Linux call failed: carries the call's name and its errno (errno(3)).</summary>
public sealed class LinuxException(string call, int errno)
    : Exception($"{call}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})")
{
    public string Call { get; } = call;

    public int Errno { get; } = errno;

    /// <summary>The exception for the calling thread's last P/Invoke error.</summary>
    public static LinuxException Last(string call) => new(call, Marshal.GetLastPInvokeError());
}
