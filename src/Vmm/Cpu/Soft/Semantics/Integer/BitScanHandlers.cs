using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>A source operand turned into a destination, flags as the operation says.</summary>
internal unsafe interface IScanOperation
{
    /// <param name="written">False: the destination stays as it is, with its upper half.</param>
    static abstract T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>;
}

/// <summary>
/// BSF, BSR. A source of 0 leaves the destination alone (AMD APM Vol. 3; undefined in the SDM). Flags besides ZF as on AMD processors: PF
/// from the result, others clear.
/// </summary>
internal readonly unsafe struct BitScanForward : IScanOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source == T.Zero ? T.Zero : T.TrailingZeroCount(source);
        written = source != T.Zero;
        BitScanFlags.Set(cpu, source, result);
        return result;
    }
}

internal readonly unsafe struct BitScanReverse : IScanOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source == T.Zero ? T.Zero : T.CreateTruncating((sizeof(T) * 8) - 1) - T.LeadingZeroCount(source);
        written = source != T.Zero;
        BitScanFlags.Set(cpu, source, result);
        return result;
    }
}

/// <summary>TZCNT: ZF from the result, CF from the source; OF stays, others clear, as on AMD processors.</summary>
internal readonly unsafe struct CountTrailingZeros : IScanOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>
    {
        written = true;
        T result = T.TrailingZeroCount(source);
        BitScanFlags.SetCount(cpu, source, result);
        return result;
    }
}

internal readonly unsafe struct CountLeadingZeros : IScanOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>
    {
        written = true;
        T result = T.LeadingZeroCount(source);
        BitScanFlags.SetCount(cpu, source, result);
        return result;
    }
}

internal readonly unsafe struct CountOnes : IScanOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(CpuContext* cpu, T source, out bool written)
        where T : unmanaged, IBinaryInteger<T>
    {
        written = true;
        cpu->FlagZero = ulong.CreateTruncating(source);
        cpu->FlagSignParity = BitScanFlags.OddParity;
        cpu->FlagCarries = 0;
        return T.PopCount(source);
    }
}

internal static unsafe class BitScanFlags
{
    /// <summary>A value of <see cref="CpuContext.FlagSignParity"/> with SF and PF clear.</summary>
    public const ulong OddParity = 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<T>(CpuContext* cpu, T source, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        cpu->FlagZero = ulong.CreateTruncating(source);
        cpu->FlagSignParity = ulong.CreateTruncating(result);
        cpu->FlagCarries = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCount<T>(CpuContext* cpu, T source, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong overflow = LazyFlags.Overflow(cpu) ? 1UL : 0;
        ulong carry = source == T.Zero ? 1UL : 0;
        cpu->FlagZero = ulong.CreateTruncating(result);
        cpu->FlagSignParity = OddParity;
        cpu->FlagCarries = (carry << 63) | ((carry ^ overflow) << 62);
    }
}

/// <summary>BSF, BSR, TZCNT, LZCNT, POPCNT from register and memory.</summary>
internal static unsafe class BitScanHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Register<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IScanOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        Scan<TOperation, T>(cpu, op, RegisterFile.Read<T>(cpu, op->Reg1));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Memory<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IScanOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T source))
        {
            return Faults.Faulted(cpu, op);
        }

        Scan<TOperation, T>(cpu, op, source);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scan<TOperation, T>(CpuContext* cpu, Operation* op, T source)
        where TOperation : struct, IScanOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = TOperation.Apply(cpu, source, out bool written);
        if (written)
        {
            RegisterFile.Write(cpu, op->Reg0, result);
        }
    }
}
