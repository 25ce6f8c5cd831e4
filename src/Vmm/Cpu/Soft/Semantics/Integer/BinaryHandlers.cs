using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// ADD, ADC, SUB, SBB, AND, OR, XOR, BTS, BTR and BTC in every operand form, and shifts by immediates. One compiled method for each
/// operation, size and form.
/// </summary>
internal static unsafe class BinaryHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegister<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), RegisterFile.Read<T>(cpu, op->Reg1)));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), OperandBits.Narrow<T>(op->Immediate)));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterMemory<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out T right))
        {
            return TPath.IsFast ? RegisterMemory<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), right));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryRegister<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? MemoryRegister<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        *host = TOperation.Apply(cpu, *host, RegisterFile.Read<T>(cpu, op->Reg0));
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryImmediate<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? MemoryImmediate<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        *host = TOperation.Apply(cpu, *host, OperandBits.Narrow<T>(op->Immediate));
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LockedMemoryRegister<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? LockedMemoryRegister<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        Atomics.Update<TOperation, T>(cpu, host, RegisterFile.Read<T>(cpu, op->Reg0));
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LockedMemoryImmediate<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? LockedMemoryImmediate<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        Atomics.Update<TOperation, T>(cpu, host, OperandBits.Narrow<T>(op->Immediate));
        return TPath.Close(cpu, op, host);
    }

    /// <summary>XOR and SUB of a register with itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Clear<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write<T>(cpu, op->Reg0, default);
        cpu->FlagZero = 0;
        cpu->FlagSignParity = 0;
        cpu->FlagCarries = 0;
        return Dispatch.Next(cpu, op);
    }
}
