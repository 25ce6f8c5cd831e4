using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>An operation of BMI1 or BMI2 on a first source that may be memory and a second that is a register or an immediate.</summary>
internal unsafe interface IBitFieldOperation
{
    static abstract T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>;
}

/// <summary>BMI1 and BMI2, except MULX. Flags that the SDM leaves undefined are as on AMD processors.</summary>
internal static unsafe class BitFieldHandlers
{
    /// <summary>Destination, source, control: all registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Register<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBitFieldOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg1), RegisterFile.Read<T>(cpu, op->Reg2)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Destination, memory source, control: the control is the second register operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Memory<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBitFieldOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T source))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, source, RegisterFile.Read<T>(cpu, op->Reg1)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Destination, source, immediate control (RORX).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBitFieldOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg1), T.CreateTruncating(op->Immediate)));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBitFieldOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T source))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, source, T.CreateTruncating(op->Immediate)));
        return Dispatch.Next(cpu, op);
    }
}

/// <summary>ANDN: here the control is the operand that is inverted.</summary>
internal readonly unsafe struct AndNot : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source & ~control;
        LazyFlags.SetLogic(cpu, result);
        return result;
    }
}

/// <summary>BEXTR: start in bits 7:0 of the control, length in 15:8.</summary>
internal readonly unsafe struct ExtractField : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        int start = byte.CreateTruncating(control);
        int length = byte.CreateTruncating(uint.CreateTruncating(control) >> 8);
        ulong value = start < sizeof(T) * 8 ? ulong.CreateTruncating(source) >> start : 0;
        T result = T.CreateTruncating(length < 64 ? value & ((1UL << length) - 1) : value);
        FlagEdits.SetShift(cpu, result, 0, 0);
        // SF is clear whatever the result.
        cpu->FlagSignParity = byte.CreateTruncating(result);
        return result;
    }
}

internal readonly unsafe struct IsolateLowestBit : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source & (T.Zero - source);
        FlagEdits.SetResultAndCarry(cpu, result, source != T.Zero ? 1UL : 0);
        return result;
    }
}

internal readonly unsafe struct MaskToLowestBit : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source ^ (source - T.One);
        FlagEdits.SetResultAndCarry(cpu, result, source == T.Zero ? 1UL : 0);
        return result;
    }
}

internal readonly unsafe struct ResetLowestBit : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result = source & (source - T.One);
        FlagEdits.SetResultAndCarry(cpu, result, source == T.Zero ? 1UL : 0);
        return result;
    }
}

internal readonly unsafe struct ZeroHighBits : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        int index = byte.CreateTruncating(control);
        bool all = index >= sizeof(T) * 8;
        T result = all ? source : source & ((T.One << index) - T.One);
        FlagEdits.SetResultAndCarry(cpu, result, all ? 1UL : 0);
        return result;
    }
}

internal readonly unsafe struct DepositBits : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        // The encoding's first source is the value, and the operand that may be memory the mask.
        ulong value = ulong.CreateTruncating(control);
        ulong mask = ulong.CreateTruncating(source);
        return T.CreateTruncating(HostBitFields.Deposit(value, mask));
    }
}

internal readonly unsafe struct ExtractBits : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong value = ulong.CreateTruncating(control);
        ulong mask = ulong.CreateTruncating(source);
        return T.CreateTruncating(HostBitFields.Extract(value, mask));
    }
}

/// <summary>RORX: no flags.</summary>
internal readonly unsafe struct FlaglessRotateRight : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T> => T.RotateRight(source, int.CreateTruncating(control) & ((sizeof(T) * 8) - 1));
}

/// <summary>SHLX.</summary>
internal readonly unsafe struct FlaglessShiftLeft : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T> => source << (int.CreateTruncating(control) & ((sizeof(T) * 8) - 1));
}

/// <summary>SHRX.</summary>
internal readonly unsafe struct FlaglessShiftRight : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T> => source >>> (int.CreateTruncating(control) & ((sizeof(T) * 8) - 1));
}

/// <summary>SARX.</summary>
internal readonly unsafe struct FlaglessShiftRightArithmetic : IBitFieldOperation
{
    public static T Apply<T>(CpuContext* cpu, T source, T control)
        where T : unmanaged, IBinaryInteger<T> =>
        T.CreateTruncating(SignedValue.Of(source) >> (int.CreateTruncating(control) & ((sizeof(T) * 8) - 1)));
}
