namespace WebVm.Vmm.Cpu.Soft;

/// <summary>The time stamp counter: VM time in nanoseconds plus an offset, so 1 GHz exactly, invariant (SDM Vol. 3B §17.17).</summary>
internal static unsafe class TimeStampCounter
{
    /// <summary>Ticks per second.</summary>
    public const uint Frequency = 1_000_000_000;

    public static ulong Read(CpuContext* cpu) => Now(cpu) + cpu->State.Msr.TscOffset;

    public static void Write(CpuContext* cpu, ulong value) => cpu->State.Msr.TscOffset = value - Now(cpu);

    /// <summary>VM time, in nanoseconds, at which the counter reaches a value.</summary>
    public static long ClockAt(CpuContext* cpu, ulong tsc) => (long)(tsc - cpu->State.Msr.TscOffset);

    private static ulong Now(CpuContext* cpu) => (ulong)(SoftVcpu.Of(cpu).Clock?.Now ?? System.Diagnostics.Stopwatch.GetTimestamp());
}
