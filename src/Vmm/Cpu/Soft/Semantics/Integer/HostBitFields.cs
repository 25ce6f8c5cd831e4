using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// PDEP and PEXT of a processor that has BMI2, also where this was compiled for one that may lack it (a native program asks for what all of
/// its hosts have), else a bit at a time; and the upper half of a product.
/// </summary>
internal static unsafe class HostBitFields
{
    private const int Bmi2Bit = 1 << 8; // CPUID.7.0:EBX

    // Null where the processor lacks the instruction.
    private static readonly delegate* unmanaged[SuppressGCTransition]<ulong, ulong, ulong> s_deposit;
    private static readonly delegate* unmanaged[SuppressGCTransition]<ulong, ulong, ulong> s_extract;

    static HostBitFields()
    {
        if (X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 0).Ebx & Bmi2Bit) != 0)
        {
            s_deposit = (delegate* unmanaged[SuppressGCTransition]<ulong, ulong, ulong>)HostStub.Assemble(a =>
            {
                a.pdep(rax, rdi, rsi);
                a.ret();
            });
            s_extract = (delegate* unmanaged[SuppressGCTransition]<ulong, ulong, ulong>)HostStub.Assemble(a =>
            {
                a.pext(rax, rdi, rsi);
                a.ret();
            });
        }
    }

    public static ulong Deposit(ulong value, ulong mask)
    {
        if (Bmi2.X64.IsSupported)
        {
            return Bmi2.X64.ParallelBitDeposit(value, mask);
        }

        return DepositByStub(value, mask);
    }

    public static ulong Extract(ulong value, ulong mask)
    {
        if (Bmi2.X64.IsSupported)
        {
            return Bmi2.X64.ParallelBitExtract(value, mask);
        }

        return ExtractByStub(value, mask);
    }

    /// <summary>
    /// Not by Math.BigMul where that has no instruction: a local whose address is taken costs a handler its tail call.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong MultiplyHigh(ulong left, ulong right) =>
        Bmi2.X64.IsSupported ? Bmi2.X64.MultiplyNoFlags(left, right) : MultiplyHighByHalves(left, right);

    internal static ulong DepositByStub(ulong value, ulong mask) => s_deposit != null ? s_deposit(value, mask) : DepositByBit(value, mask);

    internal static ulong ExtractByStub(ulong value, ulong mask) => s_extract != null ? s_extract(value, mask) : ExtractByBit(value, mask);

    internal static ulong DepositByBit(ulong value, ulong mask)
    {
        ulong result = 0;
        for (; mask != 0; mask &= mask - 1, value >>= 1)
        {
            result |= (value & 1) != 0 ? mask & (0 - mask) : 0;
        }

        return result;
    }

    internal static ulong ExtractByBit(ulong value, ulong mask)
    {
        ulong result = 0;
        for (ulong bit = 1; mask != 0; mask &= mask - 1, bit <<= 1)
        {
            result |= (value & mask & (0 - mask)) != 0 ? bit : 0;
        }

        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong MultiplyHighByHalves(ulong left, ulong right)
    {
        ulong low = (ulong)(uint)left * (uint)right;
        ulong middle = ((left >> 32) * (uint)right) + (low >> 32);
        ulong other = ((uint)left * (right >> 32)) + (uint)middle;
        return ((left >> 32) * (right >> 32)) + (middle >> 32) + (other >> 32);
    }
}
