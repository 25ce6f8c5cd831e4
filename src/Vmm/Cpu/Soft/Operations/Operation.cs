using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>
/// One decoded instruction of a block: a handler and its operands, 32 bytes. The interpreter's loop is
/// <c>do op = op->Handler(cpu, op); while (op != null)</c>; translated code calls the same handlers.
/// </summary>
/// <remarks>
/// A handler returns <c>op + 1</c> to go on, the first operation of another block to branch there, or null to leave the block, having
/// recorded why in the context (see <see cref="Outcome"/>). Registers are named by byte offset into the register
/// file at the start of <see cref="State.CpuState"/>: RAX is 0, RCX 8, AH 1, and so on. Operations that run as host stubs
/// name vector and MMX registers by their place in the context in units of 8 bytes (see <see cref="Semantics.Vector.VectorRegisters"/>);
/// all others use plain numbers.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal unsafe struct Operation
{
    [FieldOffset(0)]
    public delegate*<CpuContext*, Operation*, Operation*> Handler;

    /// <summary>
    /// Immediate operand, sign- or zero-extended as the instruction says; for a near branch, the target less the block's address.
    /// </summary>
    [FieldOffset(8)]
    public ulong Immediate;

    /// <summary>Displacement of the memory operand; for a RIP-relative one, already relative to the block's address.</summary>
    [FieldOffset(16)]
    public int Displacement;

    /// <summary>Bytes from the block's first instruction to this one.</summary>
    [FieldOffset(20)]
    public ushort Offset;

    /// <summary>Bytes of this instruction, 1 to 15.</summary>
    [FieldOffset(22)]
    public byte Length;

    /// <summary>Base register of the memory operand (<see cref="State.CpuState.ZeroRegister"/> for none).</summary>
    [FieldOffset(23)]
    public byte Base;

    [FieldOffset(24)]
    public byte Index;

    /// <summary>Index shift, 0 to 3.</summary>
    [FieldOffset(25)]
    public byte Scale;

    /// <summary>Effective segment of the memory operand, a <see cref="State.SegmentIndex"/>.</summary>
    [FieldOffset(26)]
    public byte Segment;

    /// <summary>First register operand (the destination where there is one).</summary>
    [FieldOffset(27)]
    public byte Reg0;

    /// <summary>Second register operand.</summary>
    [FieldOffset(28)]
    public byte Reg1;

    /// <summary>Third register operand.</summary>
    [FieldOffset(29)]
    public byte Reg2;

    [FieldOffset(30)]
    public OperationFlags Flags;
}

[Flags]
internal enum OperationFlags : ushort
{
    None = 0,

    /// <summary>Address size is 16 bits (wraps at 64 KiB).</summary>
    Address16 = 1 << 0,

    /// <summary>Address size is 32 bits (wraps at 4 GiB).</summary>
    Address32 = 1 << 1,

    /// <summary>The linear address is the effective address as it stands: no base, limit, right or wrap-around.</summary>
    Flat = 1 << 2,

    /// <summary>LOCK prefix, or an instruction that locks by itself (XCHG with memory).</summary>
    Lock = 1 << 3,
    Rep = 1 << 4,
    Repne = 1 << 5,

    /// <summary>Decoded for 64-bit mode.</summary>
    Long = 1 << 6,

    /// <summary>Stack pointer is 16 bits (SS.B clear).</summary>
    Stack16 = 1 << 7,

    /// <summary>Stack pointer is 32 bits. Neither this nor <see cref="Stack16"/>: 64 bits.</summary>
    Stack32 = 1 << 8,

    /// <summary>The last operation of its block.</summary>
    Last = 1 << 9,

    /// <summary>32-bit mode in which ES, SS and DS have base 0, no limit and are writable: only the wrap-around at 4 GiB is left.</summary>
    FlatData = 1 << 11,

    /// <summary>Operand size is 16 bits.</summary>
    Operand16 = 1 << 10,

    /// <summary>CMP or TEST that a conditional branch behind it may be fused with; how is in the third register operand.</summary>
    Comparison = 1 << 15,
}
