using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Host.Native;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>
/// What the monitor shares with a guest's kernel is laid out as that kernel has it. No header of Linux's interface to programs tells of it.
/// </summary>
public sealed class KernelTypesTests
{
    [Fact]
    public void The_clocks_pages_are_as_linux_reads_them()
    {
        var kernel = KernelTypes.Of(Images.File("tiny", "vmlinux"));
        Expect<KvmClockPages.SystemTime>(kernel, "pvclock_vcpu_time_info", new()
        {
            ["version"] = nameof(KvmClockPages.SystemTime.Version),
            ["tsc_timestamp"] = nameof(KvmClockPages.SystemTime.TscTimestamp),
            ["system_time"] = nameof(KvmClockPages.SystemTime.Nanoseconds),
            ["tsc_to_system_mul"] = nameof(KvmClockPages.SystemTime.Multiplier),
            ["tsc_shift"] = nameof(KvmClockPages.SystemTime.Shift),
            ["flags"] = nameof(KvmClockPages.SystemTime.Flags),
        });
        Expect<KvmClockPages.WallClock>(kernel, "pvclock_wall_clock", new()
        {
            ["version"] = nameof(KvmClockPages.WallClock.Version),
            ["sec"] = nameof(KvmClockPages.WallClock.Seconds),
            ["nsec"] = nameof(KvmClockPages.WallClock.Nanoseconds),
        });
    }

    [Fact]
    public void Steal_time_is_as_linux_reads_it()
    {
        var fields = typeof(kvm_steal_time).GetFields().ToDictionary(field => field.Name, field => field.Name);
        Expect<kvm_steal_time>(KernelTypes.Of(Images.File("tiny", "vmlinux")), nameof(kvm_steal_time), fields);
    }

    private static void Expect<T>(KernelTypes kernel, string name, Dictionary<string, string> fields)
        where T : unmanaged
    {
        var (size, offsets) = kernel.Structure(name);
        Assert.Equal(size, Marshal.SizeOf<T>());
        Assert.Equal(
            fields.Keys.Order().Select(field => (field, offsets[field])),
            fields.Keys.Order().Select(field => (field, (int)Marshal.OffsetOf<T>(fields[field]))));
    }
}
