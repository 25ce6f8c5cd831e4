using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>CLC, STC, CMC, CLD, STD, LAHF, SAHF, SALC.</summary>
internal static unsafe class FlagHandlers
{
    public const ulong DirectionFlag = 1 << 10;

    /// <summary>SF, ZF, AF, PF and CF: what AH holds.</summary>
    private const ulong LowFlags = RflagsBits.Arithmetic & 0xff;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ClearCarry(CpuContext* cpu, Operation* op)
    {
        FlagEdits.SetCarry(cpu, false);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SetCarry(CpuContext* cpu, Operation* op)
    {
        FlagEdits.SetCarry(cpu, true);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ComplementCarry(CpuContext* cpu, Operation* op)
    {
        FlagEdits.SetCarry(cpu, !LazyFlags.Carry(cpu));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ClearDirection(CpuContext* cpu, Operation* op)
    {
        cpu->State.Rflags &= ~DirectionFlag;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SetDirection(CpuContext* cpu, Operation* op)
    {
        cpu->State.Rflags |= DirectionFlag;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadToAh(CpuContext* cpu, Operation* op)
    {
        // Bit 1 of the flags always reads as 1.
        RegisterFile.Write(cpu, RegisterFile.Ah, (byte)((LazyFlags.Read(cpu) & LowFlags) | 2));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreFromAh(CpuContext* cpu, Operation* op)
    {
        FlagEdits.Replace(cpu, LowFlags, RegisterFile.Read<byte>(cpu, RegisterFile.Ah));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>SALC: AL = CF ? 0xff : 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SetAlFromCarry(CpuContext* cpu, Operation* op)
    {
        RegisterFile.Write(cpu, RegisterFile.Rax, LazyFlags.Carry(cpu) ? byte.MaxValue : (byte)0);
        return Dispatch.Next(cpu, op);
    }
}
