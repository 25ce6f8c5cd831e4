using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>sigaction(2): what a handler in machine code is given.</summary>
[NativeConstants("signal.h")]
internal static class SignalCalls
{
    public const int SIGILL = 4;
    public const int SIGABRT = 6;
    public const int SIGBUS = 7;
    public const int SIGFPE = 8;
    public const int SIGSEGV = 11;
    public const uint SA_SIGINFO = 4;
    public const uint SA_RESETHAND = 0x80000000;
}

/// <summary>As the kernel fills it for a fault, which has an address.</summary>
[NativeType("signal.h", Name = "siginfo_t")]
[StructLayout(LayoutKind.Sequential, Size = 128)]
internal struct siginfo_t
{
    public int si_signo;
    public int si_errno;
    public int si_code;
    private readonly int _padding;
    public ulong si_addr;
}

/// <summary>The state that the signal interrupted, and goes on from.</summary>
[NativeType("signal.h", "ucontext.h", Name = "ucontext_t")]
[StructLayout(LayoutKind.Sequential, Size = 968)]
internal unsafe struct ucontext_t
{
    /// <summary>Places in <see cref="gregs"/> (sys/ucontext.h, REG_RSP and REG_RIP).</summary>
    public static int StackPointer => 15;

    public static int InstructionPointer => 16;

    public static int Registers => 23;

    public ulong uc_flags;
    public ulong uc_link;
    private fixed ulong _uc_stack[3];

    [NativeField("uc_mcontext.gregs")]
    public fixed ulong gregs[23];

    private readonly ulong _fpregs;
    private fixed ulong _reserved[8];

    /// <summary>Blocked signals from then on: the first 64.</summary>
    [NativeField("uc_sigmask")]
    public fixed ulong uc_sigmask[16];
}
