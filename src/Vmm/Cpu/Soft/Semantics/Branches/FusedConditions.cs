using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>A condition decided by the operands of the comparison just before, without going through the flags.</summary>
internal interface IFusedCondition
{
    /// <summary>After CMP.</summary>
    static abstract bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T>;

    /// <summary>After TEST, with the AND of its operands; CF and OF are clear.</summary>
    static abstract bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T>;
}

internal readonly struct Opposite<TCondition> : IFusedCondition
    where TCondition : struct, IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => !TCondition.OfCompare(left, right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => !TCondition.OfTest(result);
}

internal readonly struct Equal : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Widen(left) == OperandBits.Widen(right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Widen(result) == 0;
}

internal readonly struct Below : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Widen(left) < OperandBits.Widen(right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => false;
}

internal readonly struct BelowOrEqual : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Widen(left) <= OperandBits.Widen(right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => OperandBits.Widen(result) == 0;
}

internal readonly struct Sign : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => (long)OperandBits.SignExtend<T>(OperandBits.Widen(left) - OperandBits.Widen(right)) < 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => SignedValue.Of(result) < 0;
}

internal readonly struct Less : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => SignedValue.Of(left) < SignedValue.Of(right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => SignedValue.Of(result) < 0;
}

internal readonly struct LessOrEqual : IFusedCondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfCompare<T>(T left, T right)
        where T : unmanaged, IBinaryInteger<T> => SignedValue.Of(left) <= SignedValue.Of(right);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool OfTest<T>(T result)
        where T : unmanaged, IBinaryInteger<T> => SignedValue.Of(result) <= 0;
}
