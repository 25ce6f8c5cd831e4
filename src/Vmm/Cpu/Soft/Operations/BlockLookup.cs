using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>A guess at the block for a program counter, checked against the translation cache before use.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct JumpCacheEntry
{
    public const int Count = 4096;

    public ulong Rip;
    public Block* Block;

    public static ulong Index(ulong rip) => (rip ^ (rip >> 12)) & (Count - 1);
}

/// <summary>
/// The way from a processor to the next block, as handlers know it: the context has its cells without their types, which would lead up.
/// </summary>
internal static unsafe class BlockLookup
{
    /// <summary>Says where the jump cache is and what finds a block that nothing leads to.</summary>
    public static void Connect(CpuContext* cpu, JumpCacheEntry* jumps, delegate*<CpuContext*, Block*> find)
    {
        cpu->JumpCache = jumps;
        cpu->FindBlock = find;
    }

    /// <summary>The guess for a program counter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static JumpCacheEntry* Jump(CpuContext* cpu, ulong rip) => (JumpCacheEntry*)cpu->JumpCache + JumpCacheEntry.Index(rip);

    /// <summary>The block at RIP, decoded if need be; null with an exception recorded if instructions cannot be fetched there.</summary>
    public static Block* Find(CpuContext* cpu) => ((delegate*<CpuContext*, Block*>)cpu->FindBlock)(cpu);
}
