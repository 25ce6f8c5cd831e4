using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>A two-operand arithmetic or logic operation: the result, and the flags set.</summary>
internal unsafe interface IBinaryOperation
{
    static abstract T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>;
}

internal readonly unsafe struct Add : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong l = OperandBits.Widen(left);
        ulong r = OperandBits.Widen(right);
        ulong result = l + r;
        OperandBits.SetFlags<T>(cpu, result, (l & r) | ((l | r) & ~result));
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct AddWithCarry : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong l = OperandBits.Widen(left);
        ulong r = OperandBits.Widen(right);
        ulong result = l + r + (cpu->FlagCarries >> 63);
        OperandBits.SetFlags<T>(cpu, result, (l & r) | ((l | r) & ~result));
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>SUB, and CMP where the result is dropped.</summary>
internal readonly unsafe struct Subtract : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong l = OperandBits.Widen(left);
        ulong r = OperandBits.Widen(right);
        ulong result = l - r;
        OperandBits.SetFlags<T>(cpu, result, (~l & r) | (~(l ^ r) & result));
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct SubtractWithBorrow : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong l = OperandBits.Widen(left);
        ulong r = OperandBits.Widen(right);
        ulong result = l - r - (cpu->FlagCarries >> 63);
        OperandBits.SetFlags<T>(cpu, result, (~l & r) | (~(l ^ r) & result));
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>AND, and TEST where the result is dropped.</summary>
internal readonly unsafe struct And : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong result = OperandBits.Widen(left) & OperandBits.Widen(right);
        OperandBits.SetResult<T>(cpu, result, 0);
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct Or : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong result = OperandBits.Widen(left) | OperandBits.Widen(right);
        OperandBits.SetResult<T>(cpu, result, 0);
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct Xor : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong result = OperandBits.Widen(left) ^ OperandBits.Widen(right);
        OperandBits.SetResult<T>(cpu, result, 0);
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>
/// BT, BTS, BTR, BTC on a bit mask: only CF changes (so on AMD processors, where the SDM leaves OF, SF, AF and PF undefined).
/// </summary>
internal readonly unsafe struct BitTest : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (OperandBits.Widen(left) & OperandBits.Widen(right)) != 0);
        return left;
    }
}

internal readonly unsafe struct BitSet : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (OperandBits.Widen(left) & OperandBits.Widen(right)) != 0);
        return OperandBits.Narrow<T>(OperandBits.Widen(left) | OperandBits.Widen(right));
    }
}

internal readonly unsafe struct BitReset : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (OperandBits.Widen(left) & OperandBits.Widen(right)) != 0);
        return OperandBits.Narrow<T>(OperandBits.Widen(left) & ~OperandBits.Widen(right));
    }
}

internal readonly unsafe struct BitComplement : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (OperandBits.Widen(left) & OperandBits.Widen(right)) != 0);
        return OperandBits.Narrow<T>(OperandBits.Widen(left) ^ OperandBits.Widen(right));
    }
}
