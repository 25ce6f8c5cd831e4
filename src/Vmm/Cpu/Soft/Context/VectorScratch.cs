using System.Runtime.InteropServices;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>What a host stub and its handler exchange besides registers; one per vCPU, in its context.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal unsafe struct VectorScratch
{
    public const int GuestMxcsrOffset = 128;
    public const int ResultMxcsrOffset = 132;
    public const int HostMxcsrOffset = 136;
    public const int FlagsOffset = 144;

    /// <summary>The memory operand's bytes: read from the guest before the stub runs, or written to it afterwards.</summary>
    [FieldOffset(0)]
    public fixed byte Memory[64];

    /// <summary>The destination as it was, for an instruction that turns out to raise an exception.</summary>
    [FieldOffset(64)]
    public fixed byte Undo[64];

    /// <summary>MXCSR to execute with: the guest's rounding and denormal modes, all exceptions masked, no flags.</summary>
    [FieldOffset(GuestMxcsrOffset)]
    public uint GuestMxcsr;

    /// <summary>MXCSR after the instruction: the flags it raised.</summary>
    [FieldOffset(ResultMxcsrOffset)]
    public uint ResultMxcsr;

    /// <summary>What the stub leaves in MXCSR: the value .NET and the C library expect.</summary>
    [FieldOffset(HostMxcsrOffset)]
    public uint HostMxcsr;

    /// <summary>RFLAGS after the instruction, where it writes them.</summary>
    [FieldOffset(FlagsOffset)]
    public ulong Flags;
}
