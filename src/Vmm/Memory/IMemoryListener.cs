namespace WebVm.Vmm.Memory;

/// <summary>
/// Told of changes to the guest's memory map, under its lock: a KVM engine sets memory slots, the soft engine drops translations.
/// </summary>
public interface IMemoryListener
{
    /// <summary>
    /// Whether whatever this engine lets reach memory asks for absent pages first. Where it does not, all pages are filled before it knows
    /// of them.
    /// </summary>
    bool SeesAbsentPages { get; }

    /// <summary>
    /// The map has changed. Guests may use what is new, and no vCPU uses what was before, when this returns.
    /// </summary>
    void MapChanged(MapChange change);

    /// <summary>
    /// Marks in <paramref name="bitmap"/> (bit n = page n of the region) the pages that the engine itself saw written since
    /// the last call, and forgets them. Engines that use <see cref="PageFlags"/> have nothing to add.
    /// </summary>
    void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap);

    /// <summary>The region has got its first watch, or lost its last (<see cref="GuestMemoryRegion.IsWatched"/>).</summary>
    void DirtyTrackingChanged(GuestMemoryRegion region);
}
