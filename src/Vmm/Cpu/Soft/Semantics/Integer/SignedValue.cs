using System.Runtime.CompilerServices;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>Operands read as two's complement numbers of their width.</summary>
internal static unsafe class SignedValue
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Of<T>(T value)
        where T : unmanaged => (long)OperandBits.SignExtend<T>(OperandBits.Widen(value));
}
