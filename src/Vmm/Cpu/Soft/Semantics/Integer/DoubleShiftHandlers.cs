using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>SHLD and SHRD.</summary>
internal static unsafe class DoubleShiftHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        ToRegister<TOperation, T>(cpu, op, (int)op->Immediate);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterCl<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        ToRegister<TOperation, T>(cpu, op, ShiftHandlers.CountInCl<T>(cpu));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T> => ToMemory<TOperation, T>(cpu, op, (int)op->Immediate);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryCl<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T> => ToMemory<TOperation, T>(cpu, op, ShiftHandlers.CountInCl<T>(cpu));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ToRegister<TOperation, T>(CpuContext* cpu, Operation* op, int count)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T value = RegisterFile.Read<T>(cpu, op->Reg0);
        RegisterFile.Write(cpu, op->Reg0, count == 0 ? value : TOperation.Apply(cpu, value, RegisterFile.Read<T>(cpu, op->Reg1), count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* ToMemory<TOperation, T>(CpuContext* cpu, Operation* op, int count)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryBeginUpdate(cpu, op, out T* host))
        {
            return Faults.Faulted(cpu, op);
        }

        if (count != 0)
        {
            *host = TOperation.Apply(cpu, *host, RegisterFile.Read<T>(cpu, op->Reg0), count);
        }

        GuestAccess.EndUpdate(cpu, op, host);
        return Dispatch.Next(cpu, op);
    }
}
