using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>
/// Near branches of 64-bit mode where everything is as before: the link is made, the stack is in the translation cache. They call
/// nothing and so need no stack frame; in every other case they jump to <see cref="NearBranches"/> with nothing changed.
/// </summary>
internal static unsafe class DirectBranches
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Jump(CpuContext* cpu, Operation* op) => Go(cpu, op, taken: true);

    [MethodImpl(Once)]
    public static Operation* JumpIf<TCondition>(CpuContext* cpu, Operation* op)
        where TCondition : struct, ICondition => Go(cpu, op, TCondition.Holds(cpu));

    [MethodImpl(Once)]
    public static Operation* Call(CpuContext* cpu, Operation* op)
    {
        var block = ((BlockLinks*)(op + 1))->Taken;
        ulong stack = cpu->State.Gpr[4] - 8;
        if (!CanEnter(cpu, block) || !CachedAccess.TryOpen(cpu, new(stack), out ulong* host))
        {
            return NearBranches.Call<ulong>(cpu, op);
        }

        ulong rip = cpu->State.Rip;
        *host = rip + op->Offset + op->Length;
        cpu->State.Gpr[4] = stack;
        if (SystemMemory.IsWatched(cpu, (byte*)host, out var page))
        {
            return Observed(cpu, op, page);
        }

        cpu->State.Rip = rip + op->Immediate;
        return Enter(cpu, block);
    }

    /// <summary>RET: the jump cache knows the caller's block, and the translation cache confirms it.</summary>
    [MethodImpl(Once)]
    public static Operation* Return(CpuContext* cpu, Operation* op)
    {
        ulong stack = cpu->State.Gpr[4];
        if (!CachedAccess.TryRead(cpu, new(stack), out ulong rip))
        {
            return NearBranches.Return<ulong>(cpu, op);
        }

        var guess = BlockLookup.Jump(cpu, rip);
        var block = guess->Block;
        var entry = Tlb.Entry(cpu, new(rip));
        if (guess->Rip != rip || block == null || entry->Execute != Tlb.Match(cpu, new(rip)) || block->Host != rip + entry->Addend
            || block->Mode != cpu->Mode || !CanEnter(cpu, block))
        {
            return NearBranches.Return<ulong>(cpu, op);
        }

        cpu->State.Gpr[4] = stack + 8 + op->Immediate;
        cpu->State.Rip = rip;
        return Enter(cpu, block);
    }

    /// <summary>The end of a block with a conditional branch.</summary>
    /// <param name="jump">The branch itself, the last operation of its block.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Go(CpuContext* cpu, Operation* jump, bool taken)
    {
        var links = (BlockLinks*)(jump + 1);
        if (taken)
        {
            var target = links->Taken;
            if (!CanEnter(cpu, target))
            {
                return NearBranches.Jump<ulong>(cpu, jump);
            }

            // In the same page, so it is canonical if the branch is.
            cpu->State.Rip += jump->Immediate;
            return Enter(cpu, target);
        }

        var next = links->FallThrough;
        if (!CanEnter(cpu, next))
        {
            return FallThrough(cpu, jump);
        }

        cpu->State.Rip += (ulong)jump->Offset + jump->Length;
        return Enter(cpu, next);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool CanEnter(CpuContext* cpu, Block* block) => block != null && block->Valid && cpu->Requests == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Enter(CpuContext* cpu, Block* block)
    {
        cpu->Instructions += block->Count;
        return Block.First(block);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* FallThrough(CpuContext* cpu, Operation* jump) =>
        BlockChain.FallThrough(cpu, jump, cpu->State.Rip + jump->Offset + jump->Length);

    /// <summary>The call's push went to a page that somebody watches.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Observed(CpuContext* cpu, Operation* op, SystemPage page)
    {
        GuestAccess.StoreObserved(cpu, op, page);
        return NearBranches.Jump<ulong>(cpu, op);
    }
}
