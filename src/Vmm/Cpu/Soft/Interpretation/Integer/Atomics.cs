using System.Numerics;
using System.Runtime.CompilerServices;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

/// <summary>Read-modify-write with LOCK: guest atomics are host atomics.</summary>
internal static unsafe class Atomics
{
    /// <summary>Applies a two-operand operation; returns the value before.</summary>
    public static T Update<TOperation, T>(CpuContext* cpu, T* host, T right)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        // The operation may read the flags that it writes (ADC), so every try starts from the same ones.
        (ulong zero, ulong signParity, ulong carries) = (cpu->FlagZero, cpu->FlagSignParity, cpu->FlagCarries);
        T seen = Volatile(host);
        while (true)
        {
            T before = Interlocked.CompareExchange(ref *host, TOperation.Apply(cpu, seen, right), seen);
            if (before == seen)
            {
                return before;
            }

            seen = before;
            (cpu->FlagZero, cpu->FlagSignParity, cpu->FlagCarries) = (zero, signParity, carries);
        }
    }

    /// <summary>Applies a one-operand operation.</summary>
    public static void Update<TOperation, T>(CpuContext* cpu, T* host)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        (ulong zero, ulong signParity, ulong carries) = (cpu->FlagZero, cpu->FlagSignParity, cpu->FlagCarries);
        T seen = Volatile(host);
        while (true)
        {
            T before = Interlocked.CompareExchange(ref *host, TOperation.Apply(cpu, seen), seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
            (cpu->FlagZero, cpu->FlagSignParity, cpu->FlagCarries) = (zero, signParity, carries);
        }
    }

    /// <summary>One load, never repeated by the compiler.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static T Volatile<T>(T* host)
        where T : unmanaged => *host;
}
