using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>What a guest-physical page is to the processor.</summary>
internal enum PhysicalKind : byte
{
    /// <summary>Not memory: the bus answers.</summary>
    Bus,

    /// <summary>RAM or a device's memory.</summary>
    Memory,

    /// <summary>Stores have no effect.</summary>
    ReadOnly,
}

/// <summary>The memory map as the vCPUs look it up; tells them to drop translations when memory goes away.</summary>
internal sealed unsafe class PhysicalMap(Action<GuestMemoryRegion> removing) : IMemoryListener
{
    private readonly record struct Range(ulong Start, ulong End, PhysicalKind Kind);

    private readonly Lock _lock = new();
    private volatile Range[] _ranges = [];

    /// <summary>What lies at an address. Regions are whole pages.</summary>
    public PhysicalKind Find(ulong physical)
    {
        foreach (ref readonly var range in _ranges.AsSpan())
        {
            if (physical - range.Start < range.End - range.Start)
            {
                return range.Kind;
            }
        }

        return PhysicalKind.Bus;
    }

    public void RegionAdded(GuestMemoryRegion region)
    {
        lock (_lock)
        {
            ulong start = region.Base!.Value.Value;
            var kind = region.Kind == GuestMemoryKind.Rom ? PhysicalKind.ReadOnly : PhysicalKind.Memory;
            // The largest first: main memory is what is looked up.
            _ranges = [.. _ranges.Append(new Range(start, start + region.Size, kind)).OrderByDescending(range => range.End - range.Start)];
        }
    }

    public void RegionRemoving(GuestMemoryRegion region)
    {
        lock (_lock)
        {
            ulong start = region.Base!.Value.Value;
            _ranges = [.. _ranges.Where(range => range.Start != start)];
        }

        removing(region);
    }

    public void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap)
    {
    }

    public void DirtyTrackingChanged(GuestMemoryRegion region)
    {
    }
}
