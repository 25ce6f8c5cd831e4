using System.Numerics;
using System.Runtime.CompilerServices;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

/// <summary>Operands read as two's complement numbers of their width.</summary>
internal static unsafe class SignedValue
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Of<T>(T value)
        where T : unmanaged, IBinaryInteger<T> => sizeof(T) switch
        {
            1 => sbyte.CreateTruncating(value),
            2 => short.CreateTruncating(value),
            4 => int.CreateTruncating(value),
            _ => long.CreateTruncating(value),
        };
}
