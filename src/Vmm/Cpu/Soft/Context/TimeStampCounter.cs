using WebVm.Vmm.Cpu.Probing;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>
/// The time stamp counter: VM time in ticks plus an offset, invariant (SDM Vol. 3B §17.17). It runs at the host's frequency where
/// that is known, since KVM often cannot give a guest another: so a guest that measured it here keeps time there.
/// </summary>
internal static unsafe class TimeStampCounter
{
    private const ulong MinimumKilohertz = 10_000;
    private const ulong MaximumKilohertz = 100_000_000;
    private const int FractionBits = 32;
    private const ulong NanosecondsPerMillisecond = 1_000_000;

    /// <summary>Of the core crystal clock, which also drives the local APIC's timer.</summary>
    public const uint CrystalHertz = 1_000_000_000;

    /// <summary>
    /// The counter's frequency as a fraction of the crystal's, for CPUID leaf 0x15: the best approximation with which Linux's 32-bit
    /// product of crystal kilohertz and numerator does not overflow. Within a few millionths of the truth.
    /// </summary>
    public static (uint Numerator, uint Denominator) CrystalRatio(CpuContext* cpu)
    {
        const ulong limit = uint.MaxValue / (CrystalHertz / 1000);
        ulong rest = cpu->State.Msr.TscKilohertz, divisor = CrystalHertz / 1000;
        (ulong Numerator, ulong Denominator) before = (0, 1), best = (1, 0);

        // The convergents of the fraction (Euclid's algorithm on it).
        while (divisor != 0)
        {
            ulong quotient = rest / divisor;
            (ulong Numerator, ulong Denominator) next = ((quotient * best.Numerator)
                + before.Numerator, (quotient * best.Denominator) + before.Denominator);
            if (next.Numerator > limit || next.Denominator > limit)
            {
                break;
            }

            (before, best) = (best, next);
            (rest, divisor) = (divisor, rest % divisor);
        }

        return ((uint)best.Numerator, (uint)best.Denominator);
    }

    /// <summary>Takes the frequency that is in the state, or the host's if there is none.</summary>
    public static void ApplyFrequency(CpuContext* cpu)
    {
        ref ulong kilohertz = ref cpu->State.Msr.TscKilohertz;
        if (kilohertz is < MinimumKilohertz or > MaximumKilohertz)
        {
            kilohertz = HostKvm.TscKilohertz;
        }

        cpu->TscMultiplier = (kilohertz << FractionBits) / NanosecondsPerMillisecond;
    }

    public static ulong Read(CpuContext* cpu) => At(cpu, CpuEnvironment.Of(cpu).Now);

    public static void Write(CpuContext* cpu, ulong value) => cpu->State.Msr.TscOffset = value - Ticks(cpu, CpuEnvironment.Of(cpu).Now);

    /// <summary>The counter at a VM time in nanoseconds.</summary>
    public static ulong At(CpuContext* cpu, long nanoseconds) => Ticks(cpu, nanoseconds) + cpu->State.Msr.TscOffset;

    /// <summary>VM time, in nanoseconds, at which the counter reaches a value.</summary>
    public static long ClockAt(CpuContext* cpu, ulong tsc)
    {
        // A value below the offset was reached before VM time began.
        long ticks = (long)(tsc - cpu->State.Msr.TscOffset);
        if (ticks <= 0)
        {
            return ticks;
        }

        // Rounded up: a deadline that fires before the counter has got there only makes the guest set it again.
        return (long)UInt128.Min((((UInt128)(ulong)ticks << FractionBits) + cpu->TscMultiplier - 1) / cpu->TscMultiplier, long.MaxValue);
    }

    private static ulong Ticks(CpuContext* cpu, long nanoseconds)
    {
        ulong high = Math.BigMul((ulong)nanoseconds, cpu->TscMultiplier, out ulong low);
        return (high << FractionBits) | (low >> FractionBits);
    }
}
