using System.Numerics;
using System.Runtime.CompilerServices;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

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
        T result = left + right;
        LazyFlags.SetAdd(cpu, left, right, result);
        return result;
    }
}

internal readonly unsafe struct AddWithCarry : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left + right + T.CreateTruncating(cpu->FlagCarries >> 63);
        LazyFlags.SetAdd(cpu, left, right, result);
        return result;
    }
}

/// <summary>SUB, and CMP where the result is dropped.</summary>
internal readonly unsafe struct Subtract : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left - right;
        LazyFlags.SetSubtract(cpu, left, right, result);
        return result;
    }
}

internal readonly unsafe struct SubtractWithBorrow : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left - right - T.CreateTruncating(cpu->FlagCarries >> 63);
        LazyFlags.SetSubtract(cpu, left, right, result);
        return result;
    }
}

/// <summary>AND, and TEST where the result is dropped.</summary>
internal readonly unsafe struct And : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left & right;
        LazyFlags.SetLogic(cpu, result);
        return result;
    }
}

internal readonly unsafe struct Or : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left | right;
        LazyFlags.SetLogic(cpu, result);
        return result;
    }
}

internal readonly unsafe struct Xor : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = left ^ right;
        LazyFlags.SetLogic(cpu, result);
        return result;
    }
}

/// <summary>BT, BTS, BTR, BTC on a bit mask: only CF changes (so on AMD processors, where the SDM leaves OF, SF, AF and PF undefined).</summary>
internal readonly unsafe struct BitTest : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (left & right) != T.Zero);
        return left;
    }
}

internal readonly unsafe struct BitSet : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (left & right) != T.Zero);
        return left | right;
    }
}

internal readonly unsafe struct BitReset : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (left & right) != T.Zero);
        return left & ~right;
    }
}

internal readonly unsafe struct BitComplement : IBinaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        FlagEdits.SetCarry(cpu, (left & right) != T.Zero);
        return left ^ right;
    }
}
