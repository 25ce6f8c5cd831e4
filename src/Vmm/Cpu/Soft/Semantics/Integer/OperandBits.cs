using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// Operands of 8 to 64 bits as 64-bit numbers and back. Handlers compute in these: generic arithmetic gives the same code, but takes the
/// JIT more than twice as long, which a machine's start would feel.
/// </summary>
internal static unsafe class OperandBits
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Widen<T>(T value)
        where T : unmanaged => sizeof(T) switch
        {
            1 => Unsafe.BitCast<T, byte>(value),
            2 => Unsafe.BitCast<T, ushort>(value),
            4 => Unsafe.BitCast<T, uint>(value),
            _ => Unsafe.BitCast<T, ulong>(value),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Narrow<T>(ulong value)
        where T : unmanaged => sizeof(T) switch
        {
            1 => Unsafe.BitCast<byte, T>((byte)value),
            2 => Unsafe.BitCast<ushort, T>((ushort)value),
            4 => Unsafe.BitCast<uint, T>((uint)value),
            _ => Unsafe.BitCast<ulong, T>(value),
        };

    /// <summary>Extends by the operand's own signedness.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Extend<T>(T value)
        where T : unmanaged =>
        typeof(T) == typeof(sbyte) || typeof(T) == typeof(short) || typeof(T) == typeof(int) ? SignExtend<T>(Widen(value)) : Widen(value);

    /// <summary>Bits above the operand's width replaced by its sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignExtend<T>(ulong value)
        where T : unmanaged => sizeof(T) switch
        {
            1 => (ulong)(long)(sbyte)value,
            2 => (ulong)(long)(short)value,
            4 => (ulong)(long)(int)value,
            _ => value,
        };

    /// <summary>Bits above the operand's width cleared.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Truncate<T>(ulong value)
        where T : unmanaged => sizeof(T) switch
        {
            1 => (byte)value,
            2 => (ushort)value,
            4 => (uint)value,
            _ => value,
        };

    /// <summary>ZF, SF, PF from a result and CF, OF, AF from the carries out of every bit, as <see cref="LazyFlags.Set"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetFlags<T>(CpuContext* cpu, ulong result, ulong carries)
        where T : unmanaged
    {
        ulong extended = SignExtend<T>(result);
        cpu->FlagZero = extended;
        cpu->FlagSignParity = extended;
        ulong vector = Truncate<T>(carries);
        cpu->FlagCarries = sizeof(T) == 8 ? vector : (vector << (64 - (sizeof(T) * 8))) | vector;
    }

    /// <summary>ZF, SF, PF from a result; CF, OF and AF as <paramref name="carries"/> has them in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetResult<T>(CpuContext* cpu, ulong result, ulong carries)
        where T : unmanaged
    {
        ulong extended = SignExtend<T>(result);
        cpu->FlagZero = extended;
        cpu->FlagSignParity = extended;
        cpu->FlagCarries = carries;
    }
}
