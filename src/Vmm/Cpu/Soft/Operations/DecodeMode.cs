namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>What decoding depends on besides the bytes; part of a block's key.</summary>
/// <param name="Bitness">Default operand size of the code segment: 16, 32 or 64.</param>
/// <param name="StackBits">Width of the stack pointer: 16, 32 or 64.</param>
/// <param name="Flat">All data segments have base 0 and cover the whole address space (always so for ES, CS, SS, DS in 64-bit
/// mode).</param>
/// <param name="Protected">CR0.PE is set and virtual-8086 mode is off.</param>
/// <param name="FlatCode">CS has base 0 and covers the whole address space: no branch target can fail.</param>
internal readonly record struct DecodeMode(byte Bitness, byte StackBits, bool Flat, bool Protected, bool FlatCode = false)
{
    /// <summary>The mode as one number, never 0.</summary>
    public uint Key => ((uint)Bitness << 16) | ((uint)StackBits << 8) | (Flat ? 1u : 0) | (Protected ? 2u : 0) | (FlatCode ? 4u : 0);

    /// <summary><see cref="FlatCode"/> of a key.</summary>
    public static bool HasFlatCode(uint key) => (key & 4) != 0;

    public static DecodeMode FromKey(uint key) =>
        new((byte)(key >> 16), (byte)(key >> 8), (key & 1) != 0, (key & 2) != 0, (key & 4) != 0);
}
