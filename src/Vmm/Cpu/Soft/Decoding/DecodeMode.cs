namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>What decoding depends on besides the bytes; part of a block's key.</summary>
/// <param name="Bitness">Default operand size of the code segment: 16, 32 or 64.</param>
/// <param name="StackBits">Width of the stack pointer: 16, 32 or 64.</param>
/// <param name="Flat">All data segments have base 0 and cover the whole address space (always so for ES, CS, SS, DS in 64-bit mode).</param>
/// <param name="Protected">CR0.PE is set and virtual-8086 mode is off.</param>
internal readonly record struct DecodeMode(byte Bitness, byte StackBits, bool Flat, bool Protected);
