using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>
/// JMP, Jcc, CALL, RET, LOOP and JCXZ within the code segment (SDM Vol. 1 §7.3.8). The width is that of the program counter after the
/// branch: 64, 32 or 16 bits.
/// </summary>
internal static unsafe class NearBranches
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Jump<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong rip = Target<TWidth>(cpu, op);
        return IsBeyond<TWidth>(cpu, rip) ? Beyond(cpu, op) : BlockChain.Taken(cpu, op, rip);
    }

    [MethodImpl(Once)]
    public static Operation* JumpIf<TWidth, TCondition>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
        where TCondition : struct, ICondition
    {
        if (!TCondition.Holds(cpu))
        {
            return BlockChain.FallThrough(cpu, op, Next<TWidth>(cpu, op));
        }

        ulong rip = Target<TWidth>(cpu, op);
        return IsBeyond<TWidth>(cpu, rip) ? Beyond(cpu, op) : BlockChain.Taken(cpu, op, rip);
    }

    [MethodImpl(Once)]
    public static Operation* JumpRegister<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong rip = ulong.CreateTruncating(*(TWidth*)((byte*)cpu + op->Reg0));
        return IsBeyond<TWidth>(cpu, rip) ? Beyond(cpu, op) : BlockChain.Jump(cpu, rip);
    }

    [MethodImpl(Once)]
    public static Operation* JumpMemory<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (!GuestAccess.TryRead(cpu, op, out TWidth target))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong rip = ulong.CreateTruncating(target);
        return IsBeyond<TWidth>(cpu, rip) ? Beyond(cpu, op) : BlockChain.Jump(cpu, rip);
    }

    [MethodImpl(Once)]
    public static Operation* Call<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong rip = Target<TWidth>(cpu, op);
        if (IsBeyond<TWidth>(cpu, rip))
        {
            return Beyond(cpu, op);
        }

        return GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(Next<TWidth>(cpu, op)))
            ? BlockChain.Taken(cpu, op, rip)
            : Faults.Faulted(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* CallRegister<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> =>
        CallTo<TWidth>(cpu, op, ulong.CreateTruncating(*(TWidth*)((byte*)cpu + op->Reg0)));

    [MethodImpl(Once)]
    public static Operation* CallMemory<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> =>
        GuestAccess.TryRead(cpu, op, out TWidth target)
            ? CallTo<TWidth>(cpu, op, ulong.CreateTruncating(target))
            : Faults.Faulted(cpu, op);

    /// <summary>RET, releasing <see cref="Operation.Immediate"/> bytes of parameters.</summary>
    [MethodImpl(Once)]
    public static Operation* Return<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (!GuestAccess.TryPeek(cpu, op, 0, out TWidth target))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong rip = ulong.CreateTruncating(target);
        if (IsBeyond<TWidth>(cpu, rip))
        {
            return Beyond(cpu, op);
        }

        GuestAccess.SetStackPointer(cpu, op, cpu->State.Gpr[4] + (ulong)sizeof(TWidth) + op->Immediate);
        return BlockChain.Jump(cpu, rip);
    }

    /// <summary>LOOP, LOOPE and LOOPNE with a counter of the address size; <typeparamref name="TCondition"/> must hold as well.</summary>
    [MethodImpl(Once)]
    public static Operation* Loop<TWidth, TCounter, TCondition>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
        where TCounter : unmanaged, IBinaryInteger<TCounter>
        where TCondition : struct, ICondition
    {
        TCounter count = *(TCounter*)&cpu->State.Gpr[1] - TCounter.One;
        bool taken = count != TCounter.Zero && TCondition.Holds(cpu);
        ulong rip = taken ? Target<TWidth>(cpu, op) : 0;
        if (taken && IsBeyond<TWidth>(cpu, rip))
        {
            return Beyond(cpu, op);
        }

        // A 32-bit counter clears the upper half of RCX.
        if (sizeof(TCounter) == 4)
        {
            cpu->State.Gpr[1] = ulong.CreateTruncating(count);
        }
        else
        {
            *(TCounter*)&cpu->State.Gpr[1] = count;
        }

        return taken ? BlockChain.Taken(cpu, op, rip) : BlockChain.FallThrough(cpu, op, Next<TWidth>(cpu, op));
    }

    [MethodImpl(Once)]
    public static Operation* JumpIfCounterZero<TWidth, TCounter>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
        where TCounter : unmanaged, IBinaryInteger<TCounter>
    {
        if (*(TCounter*)&cpu->State.Gpr[1] != TCounter.Zero)
        {
            return BlockChain.FallThrough(cpu, op, Next<TWidth>(cpu, op));
        }

        ulong rip = Target<TWidth>(cpu, op);
        return IsBeyond<TWidth>(cpu, rip) ? Beyond(cpu, op) : BlockChain.Taken(cpu, op, rip);
    }

    /// <summary>Whether a program counter cannot be: not canonical, or beyond the limit of CS.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsBeyond<TWidth>(CpuContext* cpu, ulong rip)
        where TWidth : unmanaged, IBinaryInteger<TWidth> =>
        // 48 bits are canonical with five levels as well.
        sizeof(TWidth) == 8
            ? (long)(rip << 16) >> 16 != (long)rip && !SlowAccess.IsCanonical(cpu, rip)
            : rip > Segments.Register(cpu, SegmentIndex.Cs)->Limit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Target<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong rip = cpu->State.Rip + op->Immediate;
        return sizeof(TWidth) switch { 8 => rip, 4 => (uint)rip, _ => (ushort)rip };
    }

    /// <summary>Behind the instruction. A 16-bit branch that is not taken does not truncate EIP.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Next<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong rip = cpu->State.Rip + op->Offset + op->Length;
        return sizeof(TWidth) == 8 ? rip : (uint)rip;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* CallTo<TWidth>(CpuContext* cpu, Operation* op, ulong rip)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (IsBeyond<TWidth>(cpu, rip))
        {
            return Beyond(cpu, op);
        }

        return GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(Next<TWidth>(cpu, op)))
            ? BlockChain.Jump(cpu, rip)
            : Faults.Faulted(cpu, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Beyond(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
}
