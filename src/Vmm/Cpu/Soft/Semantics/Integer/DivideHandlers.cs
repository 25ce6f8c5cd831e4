using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// DIV and IDIV. #DE for a divisor of 0 and for a quotient that does not fit; then nothing has changed. The flags, undefined in the SDM,
/// are as on AMD processors: AF set, SF, ZF and PF clear, CF and OF kept.
/// </summary>
internal static unsafe class DivideHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* UnsignedRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        TryDivideUnsigned(cpu, RegisterFile.Read<T>(cpu, op->Reg0))
            ? Dispatch.Next(cpu, op)
            : Faults.Raise(cpu, op, ExceptionVector.DivideError);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* UnsignedMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T divisor))
        {
            return Faults.Faulted(cpu, op);
        }

        return TryDivideUnsigned(cpu, divisor) ? Dispatch.Next(cpu, op) : Faults.Raise(cpu, op, ExceptionVector.DivideError);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SignedRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        TryDivideSigned(cpu, RegisterFile.Read<T>(cpu, op->Reg0))
            ? Dispatch.Next(cpu, op)
            : Faults.Raise(cpu, op, ExceptionVector.DivideError);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SignedMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T divisor))
        {
            return Faults.Faulted(cpu, op);
        }

        return TryDivideSigned(cpu, divisor) ? Dispatch.Next(cpu, op) : Faults.Raise(cpu, op, ExceptionVector.DivideError);
    }

    private static bool TryDivideUnsigned<T>(CpuContext* cpu, T divisorOperand)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong divisor = OperandBits.Widen(divisorOperand);
        if (divisor == 0)
        {
            return false;
        }

        if (sizeof(T) == 8)
        {
            ulong high = cpu->State.Gpr[2];
            if (high >= divisor)
            {
                return false;
            }

            ulong low = cpu->State.Gpr[0];
            if (high == 0)
            {
                (cpu->State.Gpr[0], cpu->State.Gpr[2]) = Math.DivRem(low, divisor);
            }
            else
            {
                (UInt128 wideQuotient, UInt128 wideRemainder) = UInt128.DivRem(new UInt128(high, low), divisor);
                cpu->State.Gpr[0] = (ulong)wideQuotient;
                cpu->State.Gpr[2] = (ulong)wideRemainder;
            }

            SetFlags(cpu);
            return true;
        }

        (ulong quotient, ulong remainder) = Math.DivRem(ReadDividend<T>(cpu), divisor);
        if (quotient >> (sizeof(T) * 8) != 0)
        {
            return false;
        }

        WriteQuotient<T>(cpu, quotient, remainder);
        return true;
    }

    private static bool TryDivideSigned<T>(CpuContext* cpu, T divisorOperand)
        where T : unmanaged, IBinaryInteger<T>
    {
        long divisor = SignedValue.Of(divisorOperand);
        if (divisor == 0)
        {
            return false;
        }

        if (sizeof(T) == 8)
        {
            // Int128.MinValue / -1 would overflow; its quotient does not fit anyway.
            Int128 dividend = new(cpu->State.Gpr[2], cpu->State.Gpr[0]);
            if (dividend == Int128.MinValue)
            {
                return false;
            }

            (Int128 wideQuotient, Int128 wideRemainder) = Int128.DivRem(dividend, divisor);
            if (wideQuotient != (long)wideQuotient)
            {
                return false;
            }

            cpu->State.Gpr[0] = (ulong)(long)wideQuotient;
            cpu->State.Gpr[2] = (ulong)(long)wideRemainder;
            SetFlags(cpu);
            return true;
        }

        long narrow = sizeof(T) switch
        {
            1 => (short)ReadDividend<T>(cpu),
            2 => (int)ReadDividend<T>(cpu),
            _ => (long)ReadDividend<T>(cpu),
        };
        if (narrow == long.MinValue)
        {
            return false;
        }

        (long quotient, long remainder) = Math.DivRem(narrow, divisor);
        if (quotient != SignedValue.Of(OperandBits.Narrow<T>((ulong)quotient)))
        {
            return false;
        }

        WriteQuotient<T>(cpu, (ulong)quotient, (ulong)remainder);
        return true;
    }

    /// <summary>AX, DX:AX or EDX:EAX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong ReadDividend<T>(CpuContext* cpu)
        where T : unmanaged => sizeof(T) switch
        {
            1 => RegisterFile.Read<ushort>(cpu, RegisterFile.Rax),
            2 => ((ulong)RegisterFile.Read<ushort>(cpu, RegisterFile.Rdx) << 16) | RegisterFile.Read<ushort>(cpu, RegisterFile.Rax),
            _ => ((ulong)RegisterFile.Read<uint>(cpu, RegisterFile.Rdx) << 32) | RegisterFile.Read<uint>(cpu, RegisterFile.Rax),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteQuotient<T>(CpuContext* cpu, ulong quotient, ulong remainder)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, OperandBits.Narrow<T>((ulong)quotient));
        RegisterFile.Write(cpu, sizeof(T) == 1 ? RegisterFile.Ah : RegisterFile.Rdx, OperandBits.Narrow<T>(remainder));
        SetFlags(cpu);
    }

    private static void SetFlags(CpuContext* cpu)
    {
        cpu->FlagZero = 1;
        cpu->FlagSignParity = BitScanFlags.OddParity;
        cpu->FlagCarries |= 8;
    }
}
