using System.Runtime.InteropServices;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;

/// <summary>
/// What KVM's clock writes into guest memory (Linux, asm/pvclock-abi.h). The soft engine's time stamp counter is VM time, so a
/// page once written stays right until the counter is written.
/// </summary>
internal static class KvmClockPages
{
    /// <summary>Flag: all vCPUs' counters agree (PVCLOCK_TSC_STABLE_BIT).</summary>
    private const byte CounterStable = 1;

    /// <summary>
    /// Flag: the guest did not run for a while, and its watchdogs are to think nothing of it (PVCLOCK_GUEST_STOPPED). The guest takes it
    /// back.
    /// </summary>
    private const byte GuestStopped = 2;

    private static readonly ulong s_flagsOffset = (ulong)Marshal.OffsetOf<SystemTime>(nameof(SystemTime.Flags));

    /// <param name="tsc">The guest's time stamp counter at <paramref name="now"/>.</param>
    /// <param name="kilohertz">The counter's frequency.</param>
    /// <param name="now">VM time in nanoseconds.</param>
    /// <param name="stopped">The guest is told that it was stopped.</param>
    /// <param name="known">The page was written before: what the guest has not read yet stays.</param>
    public static void WriteSystemTime(
        GuestMemory memory, GuestPhysicalAddress page, ulong tsc, ulong kilohertz, long now, bool stopped = false, bool known = false)
    {
        bool untold = known && memory.TryRead(page + s_flagsOffset, out byte flags) && (flags & GuestStopped) != 0;
        var (multiplier, shift) = Scale(kilohertz);
        uint version = memory.TryRead(page, out uint before) ? before | 1 : 1;

        // An odd version tells readers to wait.
        memory.TryWrite(page, version);
        memory.TryWrite(page, new SystemTime
        {
            Version = version,
            TscTimestamp = tsc,
            Nanoseconds = (ulong)now,
            Multiplier = multiplier,
            Shift = shift,
            Flags = (byte)(CounterStable | (stopped || untold ? GuestStopped : 0)),
        });
        memory.TryWrite(page, version + 1);
    }

    /// <summary>
    /// Nanoseconds = (ticks shifted left by shift, or right if negative) * multiplier >> 32, with the top bit of the multiplier set.
    /// </summary>
    internal static (uint Multiplier, sbyte Shift) Scale(ulong kilohertz)
    {
        ulong dividend = 1_000_000;
        sbyte shift = 0;
        while (dividend >= kilohertz)
        {
            kilohertz <<= 1;
            shift++;
        }

        while (dividend << 1 < kilohertz)
        {
            dividend <<= 1;
            shift--;
        }

        return ((uint)((dividend << 32) / kilohertz), shift);
    }

    /// <summary>Host time at VM time 0, which guests add their system time to.</summary>
    public static void WriteWallClock(GuestMemory memory, GuestPhysicalAddress page, long now, DateTimeOffset host)
    {
        long nanoseconds = ((host.UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) * 100) - now;
        uint version = memory.TryRead(page, out uint before) ? before | 1 : 1;
        memory.TryWrite(page, version);
        memory.TryWrite(page, new WallClock
        {
            Version = version,
            Seconds = (uint)(nanoseconds / 1_000_000_000),
            Nanoseconds = (uint)(nanoseconds % 1_000_000_000),
        });
        memory.TryWrite(page, version + 1);
    }

    /// <summary>struct pvclock_vcpu_time_info.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct SystemTime
    {
        public uint Version;
        public uint Padding0;
        public ulong TscTimestamp;
        public ulong Nanoseconds;
        public uint Multiplier;
        public sbyte Shift;
        public byte Flags;
        public ushort Padding1;
    }

    /// <summary>struct pvclock_wall_clock.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct WallClock
    {
        public uint Version;
        public uint Seconds;
        public uint Nanoseconds;
    }
}
