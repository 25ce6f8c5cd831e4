using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// Shifts and rotates whose count may be 0, which changes no flag (SDM Vol. 2B, SAL/SAR/SHL/SHR): by CL, and by an immediate that is 0. By
/// others they are operations of <see cref="BinaryHandlers"/> (<see cref="ByCount{TShift}"/>).
/// </summary>
internal static unsafe class ShiftHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterCl<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        int count = CountInCl<T>(cpu);
        T value = RegisterFile.Read<T>(cpu, op->Reg0);
        RegisterFile.Write(cpu, op->Reg0, count == 0 ? value : TOperation.Apply(cpu, value, count));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryCl<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryBeginUpdate(cpu, op, out T* host))
        {
            return Faults.Faulted(cpu, op);
        }

        int count = CountInCl<T>(cpu);
        if (count != 0)
        {
            *host = TOperation.Apply(cpu, *host, count);
        }

        GuestAccess.EndUpdate(cpu, op, host);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>A register shifted by an immediate 0: a 32-bit one still loses its upper half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterByZero<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, RegisterFile.Read<T>(cpu, op->Reg0));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Memory shifted by an immediate 0: no change, but the access must be allowed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryByZero<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryBeginUpdate(cpu, op, out T* host))
        {
            return Faults.Faulted(cpu, op);
        }

        GuestAccess.EndUpdate(cpu, op, host);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountInCl<T>(CpuContext* cpu)
        where T : unmanaged => RegisterFile.Read<byte>(cpu, RegisterFile.Rcx) & (sizeof(T) == 8 ? 63 : 31);
}
