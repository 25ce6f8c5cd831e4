using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// Counting and stepping of string instructions (SDM Vol. 1 §7.3.9). <typeparamref name="TAddress"/> is as wide as the address size, which
/// also says how much of rCX, rSI and rDI takes part.
/// </summary>
internal static unsafe class StringRegisters<TAddress>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    private const ulong TrapFlag = 1 << 8;

    /// <summary>Elements of one uninterrupted piece at the most, so that a request is seen soon.</summary>
    private const ulong PieceLength = 4096;

    public static ulong Source(CpuContext* cpu) => Read(cpu, RegisterFile.Rsi);

    public static ulong Destination(CpuContext* cpu) => Read(cpu, RegisterFile.Rdi);

    public static ulong Count(CpuContext* cpu) => Read(cpu, RegisterFile.Rcx);

    public static bool Backwards(CpuContext* cpu) => (cpu->State.Rflags & FlagHandlers.DirectionFlag) != 0;

    /// <summary>Moves a pointer by a number of elements in the direction of RFLAGS.DF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Advance(CpuContext* cpu, byte register, ulong bytes) => RegisterFile.Write(
        cpu,
        register,
        OperandBits.Narrow<TAddress>(Read(cpu, register) + (Backwards(cpu) ? 0 - bytes : bytes)));

    public static void CountDown(CpuContext* cpu, ulong elements) =>
        RegisterFile.Write(cpu, RegisterFile.Rcx, OperandBits.Narrow<TAddress>(Count(cpu) - elements));

    /// <summary>
    /// Bytes that a run upwards from an offset may take: as counted, up to where the offset wraps, a piece at most. 0 backwards or when
    /// stepping.
    /// </summary>
    public static ulong RunLimit(CpuContext* cpu, int elementSize, ulong offset)
    {
        if ((cpu->State.Rflags & (FlagHandlers.DirectionFlag | TrapFlag)) != 0)
        {
            return 0;
        }

        ulong bytes = Math.Min(Count(cpu), PieceLength) * (ulong)elementSize;
        return Math.Min(bytes, OperandBits.Widen(TAddress.MaxValue) - offset);
    }

    /// <summary>Whether to leave between two elements: something waits, or every element is to trap.</summary>
    public static bool MustPause(CpuContext* cpu) => Faults.Interrupted(cpu) || (cpu->State.Rflags & TrapFlag) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read(CpuContext* cpu, byte register) => OperandBits.Widen(RegisterFile.Read<TAddress>(cpu, register));
}
