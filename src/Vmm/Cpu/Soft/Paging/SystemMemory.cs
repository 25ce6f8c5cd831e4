using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>Between a processor's host pointers and system-physical pages.</summary>
internal static unsafe class SystemMemory
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Host(CpuContext* cpu, SystemPhysicalAddress address) => cpu->SystemBase + address.Value;

    /// <summary>Where a host pointer into guest memory points; other pointers give no address of the space.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SystemPhysicalAddress Address(CpuContext* cpu, byte* host) => new((ulong)(host - cpu->SystemBase));

    /// <summary>Whether somebody watches a page that has just been stored to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWatched(CpuContext* cpu, byte* host, out SystemPage page)
    {
        page = Address(cpu, host).Page;
        return cpu->PageFlags[page.Number] != 0;
    }
}
