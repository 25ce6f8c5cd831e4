using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// MUL, IMUL and MULX. CF and OF tell whether the upper half matters; SF, ZF, AF and PF, undefined in the SDM, stay as they were, as on
/// AMD processors.
/// </summary>
internal static unsafe class MultiplyHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* UnsignedRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Unsigned(cpu, RegisterFile.Read<T>(cpu, op->Reg0));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* UnsignedMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        Unsigned(cpu, right);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SignedRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Signed(cpu, RegisterFile.Read<T>(cpu, op->Reg0));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SignedMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        Signed(cpu, right);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>IMUL r, r.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, Truncated(cpu, RegisterFile.Read<T>(cpu, op->Reg0), RegisterFile.Read<T>(cpu, op->Reg1)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>IMUL r, m.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, Truncated(cpu, RegisterFile.Read<T>(cpu, op->Reg0), right));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>IMUL r, r, imm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegisterImmediate<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, Truncated(cpu, RegisterFile.Read<T>(cpu, op->Reg1), OperandBits.Narrow<T>(op->Immediate)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>IMUL r, m, imm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterMemoryImmediate<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T left))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, Truncated(cpu, left, OperandBits.Narrow<T>(op->Immediate)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MULX: rDX times the source, no flags; of two equal destinations the upper half stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FlaglessRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Flagless(cpu, op, RegisterFile.Read<T>(cpu, op->Reg2));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FlaglessMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        Flagless(cpu, op, right);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Flagless<T>(CpuContext* cpu, Operation* op, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T left = RegisterFile.Read<T>(cpu, RegisterFile.Rdx);
        if (sizeof(T) == 8)
        {
            RegisterFile.Write(cpu, op->Reg1, left * right);
            RegisterFile.Write(cpu, op->Reg0, HostBitFields.MultiplyHigh(OperandBits.Widen(left), OperandBits.Widen(right)));
        }
        else
        {
            ulong product = OperandBits.Widen(left) * OperandBits.Widen(right);
            RegisterFile.Write(cpu, op->Reg1, (uint)product);
            RegisterFile.Write(cpu, op->Reg0, (uint)(product >> 32));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unsigned<T>(CpuContext* cpu, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T left = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        ulong high;
        if (sizeof(T) == 8)
        {
            high = HostBitFields.MultiplyHigh(OperandBits.Widen(left), OperandBits.Widen(right));
            WriteProduct<T>(cpu, OperandBits.Widen(left) * OperandBits.Widen(right), high);
        }
        else
        {
            ulong product = OperandBits.Widen(left) * OperandBits.Widen(right);
            high = product >> (sizeof(T) * 8);
            WriteProduct<T>(cpu, product, high);
        }

        ulong overflow = high != 0 ? 1UL : 0;
        FlagEdits.SetCarryOverflow(cpu, overflow, overflow);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Signed<T>(CpuContext* cpu, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        long left = SignedValue.Of(RegisterFile.Read<T>(cpu, RegisterFile.Rax));
        bool overflow;
        if (sizeof(T) == 8)
        {
            long low = left * SignedValue.Of(right);
            long high = HighHalf(left, SignedValue.Of(right));
            WriteProduct<T>(cpu, (ulong)low, (ulong)high);
            overflow = high != low >> 63;
        }
        else
        {
            long product = left * SignedValue.Of(right);
            WriteProduct<T>(cpu, (ulong)product, (ulong)(product >> (sizeof(T) * 8)));
            overflow = product != SignedValue.Of(OperandBits.Narrow<T>((ulong)product));
        }

        ulong flag = overflow ? 1UL : 0;
        FlagEdits.SetCarryOverflow(cpu, flag, flag);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Truncated<T>(CpuContext* cpu, T left, T right)
        where T : unmanaged, IBinaryInteger<T>
    {
        T result;
        bool overflow;
        if (sizeof(T) == 8)
        {
            result = OperandBits.Narrow<T>(OperandBits.Widen(left) * OperandBits.Widen(right));
            overflow = HighHalf(SignedValue.Of(left), SignedValue.Of(right)) != SignedValue.Of(result) >> 63;
        }
        else
        {
            long product = SignedValue.Of(left) * SignedValue.Of(right);
            result = OperandBits.Narrow<T>((ulong)product);
            overflow = product != SignedValue.Of(result);
        }

        ulong flag = overflow ? 1UL : 0;
        FlagEdits.SetCarryOverflow(cpu, flag, flag);
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long HighHalf(long left, long right) =>
        (long)HostBitFields.MultiplyHigh((ulong)left, (ulong)right) - ((left >> 63) & right) - ((right >> 63) & left);

    /// <summary>AX, DX:AX, EDX:EAX or RDX:RAX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteProduct<T>(CpuContext* cpu, ulong low, ulong high)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (sizeof(T) == 1)
        {
            RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)low);
        }
        else
        {
            RegisterFile.Write(cpu, RegisterFile.Rax, OperandBits.Narrow<T>(low));
            RegisterFile.Write(cpu, RegisterFile.Rdx, OperandBits.Narrow<T>(high));
        }
    }
}
