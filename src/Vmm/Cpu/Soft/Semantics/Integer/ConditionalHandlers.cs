using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>SETcc and CMOVcc.</summary>
internal static unsafe class ConditionalHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SetRegister<TCondition>(CpuContext* cpu, Operation* op)
        where TCondition : struct, ICondition
    {
        RegisterFile.Write(cpu, op->Reg0, TCondition.Holds(cpu) ? (byte)1 : (byte)0);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SetMemory<TCondition>(CpuContext* cpu, Operation* op)
        where TCondition : struct, ICondition =>
        GuestAccess.TryWrite(cpu, op, TCondition.Holds(cpu) ? (byte)1 : (byte)0) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    /// <summary>A 32-bit destination is zero-extended even when nothing moves (SDM Vol. 2A, CMOVcc).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MoveRegister<TCondition, T>(CpuContext* cpu, Operation* op)
        where TCondition : struct, ICondition
        where T : unmanaged
    {
        RegisterFile.Write(cpu, op->Reg0, RegisterFile.Read<T>(cpu, TCondition.Holds(cpu) ? op->Reg1 : op->Reg0));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Memory is read whether or not the condition holds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MoveMemory<TCondition, T, TPath>(CpuContext* cpu, Operation* op)
        where TCondition : struct, ICondition
        where T : unmanaged
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out T value))
        {
            return TPath.IsFast ? MoveMemory<TCondition, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, TCondition.Holds(cpu) ? value : RegisterFile.Read<T>(cpu, op->Reg0));
        return Dispatch.Next(cpu, op);
    }
}
