using System.Runtime.InteropServices;
using Tmds.Linux;

namespace WebVm.Vmm.Host.Native;

/// <summary>futex(2), which libc has no function for.</summary>
[NativeConstants("linux/futex.h")]
internal static unsafe class FutexCalls
{
    public const int FUTEX_PRIVATE_FLAG = 128;
    public const int FUTEX_WAKE_PRIVATE = 1 | FUTEX_PRIVATE_FLAG;
    public const int FUTEX_WAIT_BITSET_PRIVATE = 9 | FUTEX_PRIVATE_FLAG;
    public const uint FUTEX_BITSET_MATCH_ANY = 0xffff_ffff;

    /// <summary>
    /// Sleeps while the word has that value, until woken or, if told, that time of CLOCK_MONOTONIC has come. May return early.
    /// </summary>
    public static void Wait(int* word, int value, timespec* deadline) =>
        _ = LibC.syscall(SystemCall.SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline, 0, FUTEX_BITSET_MATCH_ANY);

    /// <summary>Wakes one who sleeps there.</summary>
    public static void Wake(int* word) => _ = LibC.syscall(SystemCall.SYS_futex, word, FUTEX_WAKE_PRIVATE, 1);
}
