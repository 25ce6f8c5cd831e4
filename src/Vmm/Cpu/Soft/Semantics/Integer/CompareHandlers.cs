using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>CMP, TEST and BT: operations for their flags alone.</summary>
internal static unsafe class CompareHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegister<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), RegisterFile.Read<T>(cpu, op->Reg1));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), OperandBits.Narrow<T>(op->Immediate));
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

        TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), right);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryRegister<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out T left))
        {
            return TPath.IsFast ? MemoryRegister<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        TOperation.Apply(cpu, left, RegisterFile.Read<T>(cpu, op->Reg0));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryImmediate<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out T left))
        {
            return TPath.IsFast ? MemoryImmediate<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        TOperation.Apply(cpu, left, OperandBits.Narrow<T>(op->Immediate));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>TEST of a register with itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* TestSelf<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        OperandBits.SetResult<T>(cpu, OperandBits.Widen(RegisterFile.Read<T>(cpu, op->Reg0)), 0);
        return Dispatch.Next(cpu, op);
    }
}
