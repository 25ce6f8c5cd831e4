using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>
/// What a processor is made as, and what it is connected to: of all that its context leads to, what does not change while instructions
/// execute.
/// </summary>
internal sealed unsafe class CpuEnvironment : IDisposable
{
    private readonly GCHandle _self;

    /// <summary>Of VM time, what was caught up when the guest was last told.</summary>
    private long _gapsTold;

    public CpuEnvironment(CpuContext* cpu, CpuProfile profile, CpuPlace place, GuestMemory memory, IGuestBus bus)
    {
        Profile = profile;
        Place = place;
        Memory = memory;
        Bus = bus;
        _self = GCHandle.Alloc(this);
        cpu->Environment = GCHandle.ToIntPtr(_self);
        cpu->SystemBase = memory.SystemBase;
        cpu->PageFlags = memory.PageFlags;
        cpu->PageVersions = memory.PageVersions;
        cpu->Vendor = profile.Vendor;
    }

    /// <summary>What CPUID shows, and what works because of it.</summary>
    public CpuProfile Profile { get; }

    /// <summary>What CPUID's topology leaves tell.</summary>
    public CpuPlace Place { get; }

    public GuestMemory Memory { get; }

    public IGuestBus Bus { get; }

    public VcpuCounters Counters { get; } = new();

    /// <summary>The local APIC; null for a processor that only assists.</summary>
    public LocalApic? Apic { get; set; }

    /// <summary>VM time, which the time stamp counter derives from.</summary>
    public VirtualClock? Clock { get; set; }

    /// <summary>VM time in nanoseconds.</summary>
    public long Now => Clock?.Now ?? Stopwatch.GetTimestamp();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CpuEnvironment Of(CpuContext* cpu) => Unsafe.As<CpuEnvironment>(GCHandle.FromIntPtr(cpu->Environment).Target!);

    /// <summary>Whether the local APIC answers at that physical address.</summary>
    public bool IsApicPage(GuestPhysicalAddress address) => Apic is { } apic && (address.Value & ~0xfffUL) == apic.Page?.Value;

    /// <summary>Whether VM time has jumped since this was last asked.</summary>
    public bool TakeGap()
    {
        long gaps = Clock?.CaughtUp ?? 0;
        bool more = gaps > _gapsTold;
        _gapsTold = gaps;
        return more;
    }

    public void Dispose() => _self.Free();
}
