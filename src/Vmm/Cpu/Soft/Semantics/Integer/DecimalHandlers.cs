using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>DAA, DAS, AAA, AAS, AAM, AAD (SDM Vol. 2A). Undefined flags are those of the additions inside, as on AMD processors.</summary>
internal static unsafe class DecimalHandlers
{
    /// <summary>6 in AL and 1 in AH.</summary>
    private const ushort AsciiStep = 0x106;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AdjustAfterAddition(CpuContext* cpu, Operation* op)
    {
        byte before = RegisterFile.Read<byte>(cpu, RegisterFile.Rax);
        bool carry = LazyFlags.Carry(cpu) || before > 0x99;
        bool adjust = LazyFlags.Adjust(cpu) || (before & 15) > 9;
        byte adjustment = (byte)((adjust ? 6 : 0) + (carry ? 0x60 : 0));
        byte result = (byte)(before + adjustment);
        Finish(cpu, result, carry, adjust, ((before ^ result) & (adjustment ^ result) & 0x80) != 0);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AdjustAfterSubtraction(CpuContext* cpu, Operation* op)
    {
        byte before = RegisterFile.Read<byte>(cpu, RegisterFile.Rax);
        bool carry = LazyFlags.Carry(cpu) || before > 0x99;
        bool adjust = LazyFlags.Adjust(cpu) || (before & 15) > 9;
        byte adjustment = (byte)((adjust ? 6 : 0) + (carry ? 0x60 : 0));
        byte result = (byte)(before - adjustment);
        Finish(cpu, result, carry || (adjust && before < 6), adjust, ((before ^ adjustment) & (before ^ result) & 0x80) != 0);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiAfterAddition(CpuContext* cpu, Operation* op)
    {
        ushort ax = RegisterFile.Read<ushort>(cpu, RegisterFile.Rax);
        bool adjust = (ax & 15) > 9 || LazyFlags.Adjust(cpu);
        FinishAscii(cpu, Add.Apply<ushort>(cpu, ax, adjust ? AsciiStep : (ushort)0), adjust);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* AsciiAfterSubtraction(CpuContext* cpu, Operation* op)
    {
        ushort ax = RegisterFile.Read<ushort>(cpu, RegisterFile.Rax);
        bool adjust = (ax & 15) > 9 || LazyFlags.Adjust(cpu);
        FinishAscii(cpu, Subtract.Apply<ushort>(cpu, ax, adjust ? AsciiStep : (ushort)0), adjust);
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
        byte result = Add.Apply(cpu, (byte)ax, (byte)((ax >> 8) * (byte)op->Immediate));
        RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)result);
        return Dispatch.Next(cpu, op);
    }

    private static void Finish(CpuContext* cpu, byte result, bool carry, bool adjust, bool overflow)
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, result);
        LazyFlags.SetLogic(cpu, result);
        FlagEdits.SetCarryOverflow(cpu, carry ? 1UL : 0, overflow ? 1UL : 0);
        SetAdjust(cpu, adjust);
    }

    /// <summary>CF and AF both say whether there was an adjustment.</summary>
    private static void FinishAscii(CpuContext* cpu, ushort ax, bool adjust)
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, (ushort)(ax & 0xff0f));
        FlagEdits.SetCarry(cpu, adjust);
        SetAdjust(cpu, adjust);
    }

    private static void SetAdjust(CpuContext* cpu, bool adjust) => cpu->FlagCarries = (cpu->FlagCarries & ~8UL) | (adjust ? 8UL : 0);
}
