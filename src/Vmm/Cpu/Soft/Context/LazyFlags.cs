using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>
/// The six arithmetic flags, kept as the operands of their definitions and computed only when read (SDM Vol. 1 §3.4.3.1).
/// </summary>
internal static unsafe class LazyFlags
{
    public static bool Carry(CpuContext* cpu) => (long)cpu->FlagCarries < 0;

    public static bool Zero(CpuContext* cpu) => cpu->FlagZero == 0;

    public static bool Sign(CpuContext* cpu) => (long)cpu->FlagSignParity < 0;

    public static bool Overflow(CpuContext* cpu) => (long)(cpu->FlagCarries ^ (cpu->FlagCarries << 1)) < 0;

    public static bool Adjust(CpuContext* cpu) => (cpu->FlagCarries & 8) != 0;

    public static bool Parity(CpuContext* cpu) => (BitOperations.PopCount(cpu->FlagSignParity & 0xff) & 1) == 0;

    /// <summary>The six flags at their places in RFLAGS.</summary>
    public static ulong Read(CpuContext* cpu) =>
        (Carry(cpu) ? RflagsBits.Cf : 0) | (Parity(cpu) ? RflagsBits.Pf : 0) | (Adjust(cpu) ? RflagsBits.Af : 0)
        | (Zero(cpu) ? RflagsBits.Zf : 0) | (Sign(cpu) ? RflagsBits.Sf : 0) | (Overflow(cpu) ? RflagsBits.Of : 0);

    /// <summary>Sets all six from an RFLAGS value.</summary>
    public static void Write(CpuContext* cpu, ulong flags)
    {
        ulong carry = flags & RflagsBits.Cf;
        ulong overflow = (flags & RflagsBits.Of) >> 11;
        cpu->FlagZero = (flags & RflagsBits.Zf) ^ RflagsBits.Zf;
        cpu->FlagSignParity = ((flags & RflagsBits.Sf) << 56) | (((flags & RflagsBits.Pf) ^ RflagsBits.Pf) >> 2);
        cpu->FlagCarries = (carry << 63) | ((carry ^ overflow) << 62) | ((flags & RflagsBits.Af) >> 1);
    }

    /// <summary>The complete RFLAGS value.</summary>
    public static ulong ReadAll(CpuContext* cpu) => (cpu->State.Rflags & ~RflagsBits.Arithmetic) | Read(cpu);

    /// <summary>After AND, OR, XOR, TEST: CF, OF and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetLogic<T>(CpuContext* cpu, T result)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong extended = SignExtend(result);
        cpu->FlagZero = extended;
        cpu->FlagSignParity = extended;
        cpu->FlagCarries = 0;
    }

    /// <summary>ZF, SF, PF from the result and the carries out of every bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<T>(CpuContext* cpu, T result, T carries)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong extended = SignExtend(result);
        cpu->FlagZero = extended;
        cpu->FlagSignParity = extended;
        ulong vector = ulong.CreateTruncating(carries);
        // Narrower than 64 bits: bit 3 stays where it is, the two top carries move to the top.
        cpu->FlagCarries = sizeof(T) == 8 ? vector : (vector << (64 - (sizeof(T) * 8))) | vector;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SignExtend<T>(T value)
        where T : unmanaged, IBinaryInteger<T> => sizeof(T) switch
        {
            1 => (ulong)(long)sbyte.CreateTruncating(value),
            2 => (ulong)(long)short.CreateTruncating(value),
            4 => (ulong)(long)int.CreateTruncating(value),
            _ => ulong.CreateTruncating(value),
        };
}
