using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// Shifts and rotates. Immediate counts are masked when decoded; a count of 0 changes no flag (SDM Vol. 2B, SAL/SAR/SHL/SHR).
/// </summary>
internal static unsafe class ShiftHandlers
{
    /// <summary>By an immediate that is not 0 after masking.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), (int)op->Immediate));
        return Dispatch.Next(cpu, op);
    }

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
    public static Operation* MemoryImmediate<TOperation, T, TPath>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IShiftOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? MemoryImmediate<TOperation, T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        *host = TOperation.Apply(cpu, *host, (int)op->Immediate);
        return TPath.Close(cpu, op, host);
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
