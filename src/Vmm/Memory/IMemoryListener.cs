namespace WebVm.Vmm.Memory;

/// <summary>Told of changes to the guest's memory map, under its lock: a KVM engine sets memory slots, the soft engine drops translations.</summary>
public interface IMemoryListener
{
    /// <summary>
    /// The map has changed. Guests may use what is new, and no vCPU uses what was before, when this returns.
    /// </summary>
    void MapChanged(MapChange change);

    /// <summary>
    /// Marks in <paramref name="bitmap"/> (bit n = page n of the region) the pages that the engine itself saw written since
    /// the last call, and forgets them. Engines that use <see cref="PageFlags"/> have nothing to add.
    /// </summary>
    void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap);

    /// <summary>Dirty tracking of the region was switched on or off (<see cref="GuestMemoryRegion.DirtyTracking"/>).</summary>
    void DirtyTrackingChanged(GuestMemoryRegion region);
}
