using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>
/// A straight run of decoded instructions, private to one vCPU. In memory: this header, the operations, after the last of them (marked
/// <see cref="OperationFlags.Last"/>) a <see cref="BlockLinks"/>, then the instruction bytes as they were decoded.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct Block
{
    /// <summary>System-physical address of the first instruction; of a block that is not kept, without meaning.</summary>
    public SystemPhysicalAddress Physical;

    /// <summary>Next block in the hash chain.</summary>
    public Block* Next;

    /// <summary>
    /// Host address of the first instruction; 0 when it is not in memory or straddles pages (never cached by program counter).
    /// </summary>
    public ulong Host;

    /// <summary>The page's counter, and its value that the operations belong to.</summary>
    public uint* VersionCell;
    public uint Version;

    public uint Mode;

    /// <summary>Guest instructions in the block.</summary>
    public ushort Count;

    /// <summary>Bytes of guest code.</summary>
    public ushort Bytes;

    /// <summary>Version of the second page when the block straddles two.</summary>
    public uint Version2;

    /// <summary>The second page; 0 for none.</summary>
    public SystemPage Page2;

    public readonly bool Valid => *VersionCell == Version;

    public static Operation* First(Block* block) => (Operation*)(block + 1);

    /// <summary>
    /// If the running block's own code changed, makes it stop after the current operation: the rest must be decoded anew.
    /// </summary>
    public static void StopIfChanged(CpuContext* cpu, Operation* op)
    {
        var block = BlockLinks.Behind(op)->Owner;
        if (block->Valid && (block->Page2 == default || cpu->PageVersions[block->Page2.Number] == block->Version2))
        {
            return;
        }

        // Never found again: only a block that is as it was decoded may be revalidated.
        block->Mode = 0;
        while ((op->Flags & OperationFlags.Last) == 0)
        {
            op++;
            op->Handler = &Stale;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Operation* Stale(CpuContext* cpu, Operation* op) => Faults.Repeat(cpu, op);
}

/// <summary>What lies behind a block's last operation: where execution went from here before.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct BlockLinks
{
    public Block* Owner;

    /// <summary>The block at a branch target in the same page.</summary>
    public Block* Taken;

    /// <summary>The block behind this one in the same page.</summary>
    public Block* FallThrough;

    /// <summary>The same for targets in other pages: to be confirmed by the translation cache.</summary>
    public Block* TakenAway;
    public Block* FallThroughAway;

    /// <summary>The links behind the block that an operation belongs to.</summary>
    public static BlockLinks* Behind(Operation* op)
    {
        while ((op->Flags & OperationFlags.Last) == 0)
        {
            op++;
        }

        return (BlockLinks*)(op + 1);
    }
}
