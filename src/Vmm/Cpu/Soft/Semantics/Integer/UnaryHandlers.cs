using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>INC, DEC, NEG, NOT.</summary>
internal static unsafe class UnaryHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Register<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0)));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Memory<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? Memory<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        *host = TOperation.Apply(cpu, *host);
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LockedMemory<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? LockedMemory<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        Atomics.Update<TOperation, T>(cpu, host);
        return TPath.Close(cpu, op, host);
    }
}
