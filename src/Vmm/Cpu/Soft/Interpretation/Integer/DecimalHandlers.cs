using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

/// <summary>DAA, DAS, AAA, AAS, AAM, AAD (SDM Vol. 2A). OF, undefined, is cleared.</summary>
internal static unsafe class DecimalHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AdjustAfterAddition(CpuContext* cpu, Operation* op)
    {
        byte before = RegisterFile.Read<byte>(cpu, RegisterFile.Rax);
        bool carry = LazyFlags.Carry(cpu);
        bool adjust = (before & 15) > 9 || LazyFlags.Adjust(cpu);
        byte result = before;
        if (adjust)
        {
            result += 6;
        }

        bool carryOut = before > 0x99 || carry;
        if (carryOut)
        {
            result += 0x60;
        }

        Finish(cpu, result, carryOut, adjust);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AdjustAfterSubtraction(CpuContext* cpu, Operation* op)
    {
        byte before = RegisterFile.Read<byte>(cpu, RegisterFile.Rax);
        bool carry = LazyFlags.Carry(cpu);
        bool adjust = (before & 15) > 9 || LazyFlags.Adjust(cpu);
        bool carryOut = false;
        byte result = before;
        if (adjust)
        {
            carryOut = carry || before < 6;
            result -= 6;
        }

        if (before > 0x99 || carry)
        {
            result -= 0x60;
            carryOut = true;
        }

        Finish(cpu, result, carryOut, adjust);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiAfterAddition(CpuContext* cpu, Operation* op)
    {
        ushort ax = RegisterFile.Read<ushort>(cpu, RegisterFile.Rax);
        bool adjust = (ax & 15) > 9 || LazyFlags.Adjust(cpu);
        FinishAscii(cpu, adjust ? (ushort)(ax + 0x106) : ax, adjust);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiAfterSubtraction(CpuContext* cpu, Operation* op)
    {
        ushort ax = RegisterFile.Read<ushort>(cpu, RegisterFile.Rax);
        bool adjust = (ax & 15) > 9 || LazyFlags.Adjust(cpu);
        FinishAscii(cpu, adjust ? (ushort)(ax - 0x106) : ax, adjust);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiAfterMultiplication(CpuContext* cpu, Operation* op)
    {
        byte radix = (byte)op->Immediate;
        if (radix == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.DivideError);
        }

        (byte quotient, byte remainder) = Math.DivRem(RegisterFile.Read<byte>(cpu, RegisterFile.Rax), radix);
        RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)((quotient << 8) | remainder));
        LazyFlags.SetLogic(cpu, remainder);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiBeforeDivision(CpuContext* cpu, Operation* op)
    {
        ushort ax = RegisterFile.Read<ushort>(cpu, RegisterFile.Rax);
        byte result = (byte)(ax + ((ax >> 8) * (byte)op->Immediate));
        RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)result);
        LazyFlags.SetLogic(cpu, result);
        return Dispatch.Next(cpu, op);
    }

    private static void Finish(CpuContext* cpu, byte result, bool carry, bool adjust)
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, result);
        LazyFlags.SetLogic(cpu, result);
        cpu->FlagCarries = (carry ? 3UL << 62 : 0) | (adjust ? 8UL : 0);
    }

    private static void FinishAscii(CpuContext* cpu, ushort ax, bool adjust)
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)(ax & 0xff0f));
        FlagEdits.Replace(cpu, LazyFlags.Cf | LazyFlags.Af, adjust ? LazyFlags.Cf | LazyFlags.Af : 0);
    }
}
