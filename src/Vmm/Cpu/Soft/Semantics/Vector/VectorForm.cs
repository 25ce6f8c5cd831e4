using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// An instruction form: an instruction without its register numbers and addresses. Native and immortal; operations point at it by
/// <see cref="Operations.Operation.Immediate"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VectorForm
{
    /// <summary>The host stub: pointers to up to four operands (unused ones are ignored), scratch, context.</summary>
    public delegate* unmanaged[SuppressGCTransition]<byte*, byte*, byte*, byte*, VectorScratch*, CpuContext*, void> Stub;

    public VectorFormFlags Flags;

    /// <summary>Bytes of the memory operand; 0 without one.</summary>
    public byte MemoryBytes;

    /// <summary>Which operand (0 to 3) is the memory operand.</summary>
    public byte MemoryOperand;

    /// <summary>Address bits that must be zero (#GP otherwise).</summary>
    public byte AlignmentMask;

    /// <summary>
    /// Floating-point numbers that the instruction computes from operands that are not tiny themselves; 0 where it cannot underflow.
    /// </summary>
    public byte ResultElements;

    /// <summary>2, 4 or 8.</summary>
    public byte ResultElementBytes;
}

[Flags]
internal enum VectorFormFlags : ushort
{
    None = 0,

    /// <summary>VEX encoded: needs XCR0, zeroes upper halves.</summary>
    Vex = 1 << 0,

    /// <summary>Reads or writes MMX registers.</summary>
    Mmx = 1 << 1,

    /// <summary>Obeys MXCSR or raises SIMD floating-point exceptions.</summary>
    Float = 1 << 2,

    /// <summary>Writes the six arithmetic flags.</summary>
    WritesFlags = 1 << 3,

    /// <summary>The memory operand is the destination.</summary>
    Store = 1 << 4,

    /// <summary>The destination is a vector register (it has a high half elsewhere).</summary>
    VectorDestination = 1 << 5,

    /// <summary>The destination is an MMX register.</summary>
    MmxDestination = 1 << 6,
}
