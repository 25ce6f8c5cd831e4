using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>A one-operand operation: the result, and the flags set.</summary>
internal unsafe interface IUnaryOperation
{
    static abstract T Apply<T>(CpuContext* cpu, T value)
        where T : unmanaged, IBinaryInteger<T>;
}

/// <summary>INC: an addition that keeps CF.</summary>
internal readonly unsafe struct Increment : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong before = OperandBits.Widen(value);
        ulong result = before + 1;
        FlagEdits.SetKeepingCarry<T>(cpu, result, before & ~result);
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>DEC: a subtraction that keeps CF.</summary>
internal readonly unsafe struct Decrement : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong before = OperandBits.Widen(value);
        ulong result = before - 1;
        FlagEdits.SetKeepingCarry<T>(cpu, result, ~before & result);
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct Negate : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong before = OperandBits.Widen(value);
        ulong result = 0 - before;
        OperandBits.SetFlags<T>(cpu, result, before | result);
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>NOT changes no flag.</summary>
internal readonly unsafe struct Not : IUnaryOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Narrow<T>(~OperandBits.Widen(value));
}
