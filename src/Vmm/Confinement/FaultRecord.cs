using System.Runtime.InteropServices;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// What a monitor writes about its own end, in this order: the record, the signal's siginfo_t, its general registers (ucontext_t's gregs),
/// and the stack from RSP on. The registers and the stack may be cut off.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FaultRecord
{
    /// <summary>"webvmflt".</summary>
    public const ulong Expected = 0x746c_666d_7662_6577;

    public const int NameSize = 16; // TASK_COMM_LEN

    /// <summary>
    /// Bytes: some tens of frames. Of the stack, which holds what a guest wrote too, nobody keeps more than the addresses of code.
    /// </summary>
    public const int StackSize = 16 * 1024;

    public ulong Magic;

    /// <summary>As its PID namespace counts.</summary>
    public int Thread;

    /// <summary>0; 1 while somebody writes; 2 when it is written. Not for the reader.</summary>
    public int State;

    /// <summary>Ends with a NUL.</summary>
    public fixed byte Name[NameSize];

    /// <summary>Bytes without the stack.</summary>
    public static int HeadSize => sizeof(FaultRecord) + sizeof(siginfo_t) + (ucontext_t.Registers * sizeof(ulong));
}
