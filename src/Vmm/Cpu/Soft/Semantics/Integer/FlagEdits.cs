using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>Changes of some of the lazy flags that keep the others.</summary>
internal static unsafe class FlagEdits
{
    private const ulong CarryOut = 1UL << 63;
    private const ulong CarryIn = 1UL << 62;
    private const ulong AdjustBit = 1UL << 3;

    /// <summary>CF alone. OF is the difference of the two top carries, so both turn together.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarry(CpuContext* cpu, bool carry)
    {
        ulong turn = (cpu->FlagCarries ^ ((carry ? 1UL : 0UL) << 63)) & CarryOut;
        cpu->FlagCarries ^= turn | (turn >> 1);
    }

    /// <summary>CF and OF, as rotates do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarryOverflow(CpuContext* cpu, ulong carry, ulong overflow) =>
        cpu->FlagCarries = (cpu->FlagCarries & AdjustBit) | (carry << 63) | ((carry ^ overflow) << 62);

    /// <summary>SF, ZF and PF from the result; CF and OF as given (0 or 1); AF set, as AMD processors have it after a shift.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetShift<T>(CpuContext* cpu, T result, ulong carry, ulong overflow)
        where T : unmanaged =>
        OperandBits.SetResult<T>(cpu, OperandBits.Widen(result), (carry << 63) | ((carry ^ overflow) << 62) | AdjustBit);

    /// <summary>SF, ZF and PF from the result; CF as given (0 or 1); OF and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetResultAndCarry<T>(CpuContext* cpu, T result, ulong carry)
        where T : unmanaged => OperandBits.SetResult<T>(cpu, OperandBits.Widen(result), (carry << 63) | (carry << 62));

    /// <summary>All but CF from a result and the carries out of every bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetKeepingCarry<T>(CpuContext* cpu, ulong result, ulong carries)
        where T : unmanaged
    {
        ulong before = cpu->FlagCarries;
        OperandBits.SetFlags<T>(cpu, result, carries);
        ulong turn = (cpu->FlagCarries ^ before) & CarryOut;
        cpu->FlagCarries ^= turn | (turn >> 1);
    }

    /// <summary>Replaces the flags in <paramref name="mask"/> (RFLAGS bits) by those of <paramref name="flags"/>.</summary>
    public static void Replace(CpuContext* cpu, ulong mask, ulong flags) =>
        LazyFlags.Write(cpu, (LazyFlags.Read(cpu) & ~mask) | (flags & mask));
}
