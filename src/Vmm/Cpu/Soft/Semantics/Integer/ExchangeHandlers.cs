using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>XCHG, XADD, CMPXCHG.</summary>
internal static unsafe class ExchangeHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        T first = RegisterFile.Read<T>(cpu, op->Reg0);
        T second = RegisterFile.Read<T>(cpu, op->Reg1);
        RegisterFile.Write(cpu, op->Reg0, second);
        RegisterFile.Write(cpu, op->Reg1, first);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>XCHG with memory locks by itself (SDM Vol. 3A §8.1.2.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryRegister<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? MemoryRegister<T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        T before = Atomics.Exchange(host, RegisterFile.Read<T>(cpu, op->Reg0));
        RegisterFile.Write(cpu, op->Reg0, before);
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AddRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T left = RegisterFile.Read<T>(cpu, op->Reg0);
        T sum = Add.Apply(cpu, left, RegisterFile.Read<T>(cpu, op->Reg1));
        // With the same register twice the sum stays.
        RegisterFile.Write(cpu, op->Reg1, left);
        RegisterFile.Write(cpu, op->Reg0, sum);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AddMemory<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? AddMemory<T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        T right = RegisterFile.Read<T>(cpu, op->Reg0);
        T left;
        if ((op->Flags & OperationFlags.Lock) != 0)
        {
            left = Atomics.Update<Add, T>(cpu, host, right);
        }
        else
        {
            left = *host;
            *host = Add.Apply(cpu, left, right);
        }

        RegisterFile.Write(cpu, op->Reg0, left);
        return TPath.Close(cpu, op, host);
    }

    /// <summary>
    /// Only the register that is written changes: on failure the accumulator, even if of 32 bits (AMD APM Vol. 3, CMPXCHG).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CompareRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T accumulator = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        T value = RegisterFile.Read<T>(cpu, op->Reg0);
        T source = RegisterFile.Read<T>(cpu, op->Reg1);
        Subtract.Apply(cpu, accumulator, value);
        if (accumulator == value)
        {
            RegisterFile.Write(cpu, op->Reg0, source);
        }
        else
        {
            RegisterFile.Write(cpu, RegisterFile.Rax, value);
        }

        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CompareMemory<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return TPath.IsFast ? CompareMemory<T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        T accumulator = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        T source = RegisterFile.Read<T>(cpu, op->Reg0);
        T value;
        if ((op->Flags & OperationFlags.Lock) != 0)
        {
            value = Atomics.CompareExchange(host, source, accumulator);
        }
        else
        {
            value = *host;
            if (value == accumulator)
            {
                *host = source;
            }
        }

        Subtract.Apply(cpu, accumulator, value);
        if (accumulator != value)
        {
            RegisterFile.Write(cpu, RegisterFile.Rax, value);
        }

        return TPath.Close(cpu, op, host);
    }
}
