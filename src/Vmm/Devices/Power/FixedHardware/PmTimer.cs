using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Power.FixedHardware;

/// <summary>The ACPI power management timer: 32 bits counting VM time at 3.579545 MHz (ACPI 6.5 §4.8.3.3).</summary>
internal static class PmTimer
{
    /// <summary>Ticks a second.</summary>
    public const long Frequency = 3_579_545;

    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>The status bit is set whenever the counter's top bit changes: every half of its range.</summary>
    private const int HalfRangeBits = 31;

    public static ulong Ticks(long nanoseconds) => (ulong)((Int128)Math.Max(nanoseconds, 0) * Frequency / NanosecondsPerSecond);

    public static uint Read(VirtualClock clock) => (uint)Ticks(clock.Now);

    /// <summary>How often the top bit has changed.</summary>
    public static ulong Toggles(long nanoseconds) => Ticks(nanoseconds) >> HalfRangeBits;

    /// <summary>When the top bit changes next, in nanoseconds of VM time.</summary>
    public static long NextToggle(long nanoseconds)
    {
        Int128 ticks = (Int128)(Toggles(nanoseconds) + 1) << HalfRangeBits;
        return (long)(((ticks * NanosecondsPerSecond) + Frequency - 1) / Frequency);
    }
}
