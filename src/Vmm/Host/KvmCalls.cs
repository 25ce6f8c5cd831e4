using System.Runtime.InteropServices;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// ioctl(2) in the shapes that KVM takes. ioctl is variadic in C; on x86-64 Linux a fixed third argument is passed the same way.
/// </summary>
internal static unsafe partial class KvmCalls
{
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Control(int descriptor, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Control(int descriptor, nuint request, void* argument);

    /// <summary>KVM_RUN. Its errors are the exceptional half of its results, so they come back as a value: 0 or the errno.</summary>
    public static int Run(int vcpu) => Control(vcpu, KvmRequests.KVM_RUN, (nuint)0) >= 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>An ioctl whose failure is the host's.</summary>
    /// <exception cref="LinuxException">The call failed; <paramref name="name"/> is in the message.</exception>
    public static int Require(int descriptor, nuint request, void* argument, string name)
    {
        int result;
        while ((result = Control(descriptor, request, argument)) < 0)
        {
            ThrowUnlessInterrupted(name);
        }

        return result;
    }

    /// <inheritdoc cref="Require(int, nuint, void*, string)"/>
    public static int Require(int descriptor, nuint request, nuint argument, string name)
    {
        int result;
        while ((result = Control(descriptor, request, argument)) < 0)
        {
            ThrowUnlessInterrupted(name);
        }

        return result;
    }

    private static void ThrowUnlessInterrupted(string name)
    {
        var failure = LinuxException.Last(name);
        if (failure.Errno != ErrorNumber.EINTR)
        {
            throw failure;
        }
    }
}
