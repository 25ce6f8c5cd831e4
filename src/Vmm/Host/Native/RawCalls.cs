using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>
/// System calls by number, without the collector hearing of it: what a process makes between clone(2) and execve(2), where it has one
/// thread and no runtime to speak to. Arguments are numbers and native addresses only.
/// </summary>
internal static unsafe partial class RawCalls
{
    /// <returns>-1 for a failure; then see <see cref="Error"/>.</returns>
    [LibraryImport("libc", EntryPoint = "syscall")]
    [SuppressGCTransition]
    public static partial nint Call(
        nint number, nint argument0, nint argument1, nint argument2, nint argument3, nint argument4, nint argument5);

    public static nint Call(nint number, nint argument0 = 0, nint argument1 = 0, nint argument2 = 0, nint argument3 = 0) =>
        Call(number, argument0, argument1, argument2, argument3, 0, 0);

    /// <summary>The errno of this thread's last call.</summary>
    public static int Error => *ErrorLocation();

    [LibraryImport("libc", EntryPoint = "__errno_location")]
    [SuppressGCTransition]
    private static partial int* ErrorLocation();
}
