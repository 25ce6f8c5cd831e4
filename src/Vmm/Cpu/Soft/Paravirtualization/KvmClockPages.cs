using System.Runtime.InteropServices;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paravirtualization;

/// <summary>
/// What KVM's clock writes into guest memory (Linux, asm/pvclock-abi.h). The soft engine's time stamp counter is VM time, so a
/// page once written stays right until the counter is written.
/// </summary>
internal static class KvmClockPages
{
    /// <summary>Flag: all vCPUs' counters agree (PVCLOCK_TSC_STABLE_BIT).</summary>
    private const byte CounterStable = 1;

    /// <param name="tsc">The guest's time stamp counter at <paramref name="now"/>.</param>
    /// <param name="now">VM time in nanoseconds.</param>
    public static void WriteSystemTime(GuestMemory memory, GuestPhysicalAddress page, ulong tsc, long now)
    {
        uint version = memory.TryRead(page, out uint before) ? before | 1 : 1;

        // An odd version tells readers to wait.
        memory.TryWrite(page, version);
        memory.TryWrite(page, new SystemTime
        {
            Version = version,
            TscTimestamp = tsc,
            Nanoseconds = (ulong)now,

            // Nanoseconds = (ticks << shift) * multiplier >> 32, with a counter of 1 GHz.
            Multiplier = 0x8000_0000,
            Shift = 1,
            Flags = CounterStable,
        });
        memory.TryWrite(page, version + 1);
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
