using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;

namespace WebVm.Vmm.Cpu.Soft.Semantics;

/// <summary>From the end of one block to the next, staying inside the dispatch loop where nothing speaks against it.</summary>
/// <remarks>
/// Within a page a link holds without further checks: whatever the address space, the target is as far from the block as before. Links
/// to other pages and the jump cache are guesses, which the translation cache confirms.
/// </remarks>
internal static unsafe class BlockChain
{
    /// <summary>Goes to a branch target that is fixed relative to the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Taken(CpuContext* cpu, Operation* op, ulong rip)
    {
        cpu->State.Rip = rip;
        var block = ((BlockLinks*)(op + 1))->Taken;
        return block != null && block->Valid && cpu->Requests == 0 ? Enter(cpu, block) : TakenSlow(cpu, op);
    }

    /// <summary>Goes on behind the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* FallThrough(CpuContext* cpu, Operation* op, ulong rip)
    {
        cpu->State.Rip = rip;
        var block = ((BlockLinks*)(op + 1))->FallThrough;
        return block != null && block->Valid && cpu->Requests == 0 ? Enter(cpu, block) : FallThroughSlow(cpu, op);
    }

    /// <summary>Goes to a computed target.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Jump(CpuContext* cpu, ulong rip)
    {
        cpu->State.Rip = rip;
        var guess = BlockLookup.Jump(cpu, rip);
        if (guess->Rip == rip)
        {
            var block = guess->Block;
            var entry = Tlb.Entry(cpu, new(rip));
            if (block != null && entry->Execute == Tlb.Match(cpu, new(rip)) && block->Host == rip + entry->Addend
                && block->Mode == cpu->Mode && block->Valid && cpu->Requests == 0)
            {
                return Enter(cpu, block);
            }
        }

        return JumpSlow(cpu);
    }

    /// <summary>The end of a block that no branch ended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Onward64(CpuContext* cpu, Operation* op) => FallThrough(cpu, op, cpu->State.Rip + op->Offset);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Onward32(CpuContext* cpu, Operation* op) => FallThrough(cpu, op, (uint)(cpu->State.Rip + op->Offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Enter(CpuContext* cpu, Block* block)
    {
        cpu->Instructions += block->Count;
        return Block.First(block);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* TakenSlow(CpuContext* cpu, Operation* op) => LinkAndEnter(cpu, op, taken: true);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* FallThroughSlow(CpuContext* cpu, Operation* op) => LinkAndEnter(cpu, op, taken: false);

    private static Operation* LinkAndEnter(CpuContext* cpu, Operation* op, bool taken)
    {
        if (Volatile.Read(ref cpu->Requests) != 0)
        {
            cpu->Outcome = Outcome.Continue;
            return null;
        }

        var links = (BlockLinks*)(op + 1);
        ulong rip = cpu->State.Rip;

        // A target in another page: where it led last time, if the address is translated as it was then.
        var guess = taken ? links->TakenAway : links->FallThroughAway;
        if (guess != null)
        {
            var entry = Tlb.Entry(cpu, new(rip));
            if (entry->Execute == Tlb.Match(cpu, new(rip)) && guess->Host == rip + entry->Addend && guess->Mode == cpu->Mode
                && guess->Valid)
            {
                return Enter(cpu, guess);
            }
        }

        var owner = links->Owner;
        uint generation = cpu->BlockGeneration;
        var block = BlockLookup.Find(cpu);
        if (block == null)
        {
            cpu->Outcome = Outcome.Exception;
            return null;
        }

        if (generation == cpu->BlockGeneration && block->Host != 0 && owner->Host != 0 && DecodeMode.HasFlatCode(cpu->Mode))
        {
            ulong distance = taken ? op->Immediate : (ulong)op->Offset + op->Length;
            bool away = !IsSamePage(cpu, rip, distance);
            *(taken ? (away ? &links->TakenAway : &links->Taken) : away ? &links->FallThroughAway : &links->FallThrough) = block;
        }

        return Enter(cpu, block);
    }

    /// <summary>Whether a target lies in the page of the block that it is counted from.</summary>
    private static bool IsSamePage(CpuContext* cpu, ulong rip, ulong distance)
    {
        ulong from = rip - distance;
        return (((cpu->IsCode64 ? from : (uint)from) ^ rip) & ~0xfffUL) == 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* JumpSlow(CpuContext* cpu)
    {
        if (Volatile.Read(ref cpu->Requests) != 0)
        {
            cpu->Outcome = Outcome.Continue;
            return null;
        }

        var block = BlockLookup.Find(cpu);
        if (block == null)
        {
            cpu->Outcome = Outcome.Exception;
            return null;
        }

        return Enter(cpu, block);
    }
}
