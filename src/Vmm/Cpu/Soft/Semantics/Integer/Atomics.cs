using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// Read-modify-write with LOCK: guest atomics are host atomics. Except across two cache lines, where hosts slow a process down or
/// end it (split lock detection): there a lock of our own keeps the guest's locked accesses apart, which take this way all or none.
/// </summary>
internal static unsafe class Atomics
{
    private const ulong CacheLine = 64;

    private static readonly Lock _splitLock = new();

    /// <summary>XCHG; returns the value before.</summary>
    public static T Exchange<T>(T* host, T value)
        where T : unmanaged
    {
        if (!IsSplit(host))
        {
            return Interlocked.Exchange(ref *host, value);
        }

        lock (_splitLock)
        {
            T before = *host;
            *host = value;
            return before;
        }
    }

    /// <summary>CMPXCHG; returns the value before.</summary>
    public static T CompareExchange<T>(T* host, T value, T comparand)
        where T : unmanaged, IEquatable<T>
    {
        if (!IsSplit(host))
        {
            return Interlocked.CompareExchange(ref *host, value, comparand);
        }

        lock (_splitLock)
        {
            T before = *host;
            if (before.Equals(comparand))
            {
                *host = value;
            }

            return before;
        }
    }

    /// <summary>Applies a two-operand operation; returns the value before.</summary>
    public static T Update<TOperation, T>(CpuContext* cpu, T* host, T right)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (IsSplit(host))
        {
            lock (_splitLock)
            {
                T value = *host;
                *host = TOperation.Apply(cpu, value, right);
                return value;
            }
        }

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
        if (IsSplit(host))
        {
            lock (_splitLock)
            {
                *host = TOperation.Apply(cpu, *host);
                return;
            }
        }

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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSplit<T>(T* host)
        where T : unmanaged => sizeof(T) > 1 && ((ulong)host & (CacheLine - 1)) > CacheLine - (ulong)sizeof(T);

    /// <summary>One load, never repeated by the compiler.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static T Volatile<T>(T* host)
        where T : unmanaged => *host;
}
