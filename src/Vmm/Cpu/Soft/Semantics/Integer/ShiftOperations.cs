using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// A shift or rotate by a count that is already masked (to 5 bits, or 6 for 64-bit operands) and not 0. Where the SDM leaves OF
/// undefined (counts above 1) it is computed by the rule for 1, which is what current processors do.
/// </summary>
internal unsafe interface IShiftOperation
{
    static abstract T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>;
}

/// <summary>A shift or rotate as a two-operand operation: by an immediate that is masked when decoded, and not 0.</summary>
internal readonly unsafe struct ByCount<TShift> : IBinaryOperation
    where TShift : struct, IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T> => TShift.Apply(cpu, left, (int)OperandBits.Widen(right));
}

internal readonly unsafe struct ShiftLeft : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong wide = OperandBits.Widen(value);
        ulong shifted = wide << count;
        ulong carry = sizeof(T) == 8 ? (wide >> (64 - count)) & 1 : (shifted >> (sizeof(T) * 8)) & 1;
        ulong sign = (shifted >> ((sizeof(T) * 8) - 1)) & 1;
        T result = OperandBits.Narrow<T>(shifted);
        FlagEdits.SetShift(cpu, result, carry, carry ^ sign);
        return result;
    }
}

internal readonly unsafe struct ShiftRight : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong before = OperandBits.Widen(value) >> (count - 1);
        ulong shifted = before >> 1;
        T result = OperandBits.Narrow<T>(shifted);
        // The top bit of the result is 0, so the one below it tells whether the sign changed.
        FlagEdits.SetShift(cpu, result, before & 1, (shifted >> ((sizeof(T) * 8) - 2)) & 1);
        return result;
    }
}

internal readonly unsafe struct ShiftRightArithmetic : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        long before = SignedValue.Of(value) >> (count - 1);
        T result = OperandBits.Narrow<T>((ulong)(before >> 1));
        FlagEdits.SetShift(cpu, result, (ulong)before & 1, 0);
        return result;
    }
}

internal readonly unsafe struct RotateLeft : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Rotate<T>(T value, int count)
        where T : unmanaged
    {
        ulong wide = OperandBits.Widen(value);
        int left = count & ((sizeof(T) * 8) - 1);
        int right = -count & ((sizeof(T) * 8) - 1);
        return sizeof(T) switch
        {
            8 => OperandBits.Narrow<T>(BitOperations.RotateLeft(wide, count)),
            4 => OperandBits.Narrow<T>(BitOperations.RotateLeft((uint)wide, count)),
            _ => OperandBits.Narrow<T>((wide << left) | (wide >> right)),
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = Rotate(value, count);
        ulong wide = OperandBits.Widen(result);
        ulong carry = wide & 1;
        FlagEdits.SetCarryOverflow(cpu, carry, carry ^ ((wide >> ((sizeof(T) * 8) - 1)) & 1));
        return result;
    }
}

internal readonly unsafe struct RotateRight : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = RotateLeft.Rotate(value, -count);
        ulong wide = OperandBits.Widen(result);
        ulong carry = (wide >> ((sizeof(T) * 8) - 1)) & 1;
        FlagEdits.SetCarryOverflow(cpu, carry, carry ^ ((wide >> ((sizeof(T) * 8) - 2)) & 1));
        return result;
    }
}

/// <summary>RCL: the operand and CF rotate together, so narrow counts go modulo 9 or 17 (SDM Vol. 2B, RCL).</summary>
internal readonly unsafe struct RotateLeftThroughCarry : IShiftOperation
{
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        int bits = sizeof(T) * 8;
        int steps = count % (bits + 1);
        UInt128 wide = ((UInt128)(cpu->FlagCarries >> 63) << bits) | OperandBits.Widen(value);
        UInt128 rotated = (wide << steps) | (wide >> (bits + 1 - steps));
        ulong result = (ulong)rotated;
        ulong carry = (ulong)(rotated >> bits) & 1;
        FlagEdits.SetCarryOverflow(cpu, carry, carry ^ ((result >> (bits - 1)) & 1));
        return OperandBits.Narrow<T>(result);
    }
}

internal readonly unsafe struct RotateRightThroughCarry : IShiftOperation
{
    public static T Apply<T>(CpuContext* cpu, T value, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        int bits = sizeof(T) * 8;
        int steps = count % (bits + 1);
        UInt128 wide = ((UInt128)(cpu->FlagCarries >> 63) << bits) | OperandBits.Widen(value);
        UInt128 rotated = (wide >> steps) | (wide << (bits + 1 - steps));
        ulong result = (ulong)rotated;
        ulong carry = (ulong)(rotated >> bits) & 1;
        FlagEdits.SetCarryOverflow(cpu, carry, ((result >> (bits - 1)) ^ (result >> (bits - 2))) & 1);
        return OperandBits.Narrow<T>(result);
    }
}

/// <summary>SHLD or SHRD by a masked count that is not 0.</summary>
internal unsafe interface IDoubleShiftOperation
{
    static abstract T Apply<T>(CpuContext* cpu, T value, T filler, int count)
        where T : unmanaged, IBinaryInteger<T>;
}

/// <summary>
/// Counts above 16 on 16-bit operands, undefined in the SDM, go on with the filler from its start and clear CF, as on AMD processors.
/// </summary>
internal readonly unsafe struct DoubleShiftLeft : IDoubleShiftOperation
{
    public static T Apply<T>(CpuContext* cpu, T value, T filler, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        int bits = sizeof(T) * 8;
        ulong left = OperandBits.Widen(value);
        ulong right = OperandBits.Widen(filler);
        ulong carry;
        ulong result;
        if (sizeof(T) == 2)
        {
            ulong window = (left << 32) | (right << 16) | right;
            result = window << count >> 32;
            carry = count > bits ? 0 : (window >> (48 - count)) & 1;
            if (count >= bits)
            {
                FlagEdits.SetShift(cpu, OperandBits.Narrow<T>(result), carry, carry);
                return OperandBits.Narrow<T>(result);
            }
        }
        else
        {
            result = (left << count) | (right >> (bits - count));
            carry = (left >> (bits - count)) & 1;
        }

        T narrow = OperandBits.Narrow<T>(result);
        FlagEdits.SetShift(cpu, narrow, carry, carry ^ ((result >> (bits - 1)) & 1));
        return narrow;
    }
}

internal readonly unsafe struct DoubleShiftRight : IDoubleShiftOperation
{
    public static T Apply<T>(CpuContext* cpu, T value, T filler, int count)
        where T : unmanaged, IBinaryInteger<T>
    {
        int bits = sizeof(T) * 8;
        ulong right = OperandBits.Widen(value);
        ulong left = OperandBits.Widen(filler);
        ulong carry;
        ulong result;
        if (sizeof(T) == 2)
        {
            ulong window = (left << 32) | (left << 16) | right;
            result = window >> count;
            carry = count > bits ? 0 : (window >> (count - 1)) & 1;
        }
        else
        {
            result = (right >> count) | (left << (bits - count));
            carry = (right >> (count - 1)) & 1;
        }

        T narrow = OperandBits.Narrow<T>(result);
        ulong wide = OperandBits.Widen(narrow);
        FlagEdits.SetShift(cpu, narrow, carry, ((wide >> (bits - 1)) ^ (wide >> (bits - 2))) & 1);
        return narrow;
    }
}
