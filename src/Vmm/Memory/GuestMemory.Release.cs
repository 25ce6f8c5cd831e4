using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <content>The end of a region before the machine's: memory of a device that is gone.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>
    /// Gives a region back to the host for good. When this returns the guest sees it nowhere, no vCPU uses it, and its watches have ended.
    /// </summary>
    /// <remarks>
    /// No other region gets its place in system-physical space: a thread of the host that is in the midst of a copy (the DMA of another
    /// device) reads zeros there and writes to nobody, and what was decoded from its pages is never found again. Of the 1 TiB of that space
    /// a region uses up its size.
    /// Nothing happens to one that has been released already.
    /// </remarks>
    public void Release(GuestMemoryRegion region)
    {
        lock (_mapLock)
        {
            if (!_owned.Remove(region))
            {
                return;
            }

            region.IsReleased = true;
            Unmap(region);
            if (region.IsWatched)
            {
                region.Watches = [];
                region.Found = [];
                TellOfTracking(region);
            }

            ForgetSource(region);
            _space.Clear(region.System.Value, region.Size);
            DiscardWholePages(_flags, region.System.Page.Number, (ulong)region.PageCount);
            DiscardWholePages(_versions, region.System.Page.Number * sizeof(uint), (ulong)region.PageCount * sizeof(uint));
            region.Dispose();
        }
    }

    /// <summary>
    /// What is known about the pages goes too, as far as it shares no page of the host's with what is known about others.
    /// </summary>
    private static void DiscardWholePages(AddressReservation known, ulong offset, ulong size)
    {
        ulong first = (offset + PageMask) & ~PageMask;
        ulong end = (offset + size) & ~PageMask;
        if (end > first)
        {
            known.Discard(first, end - first);
        }
    }
}
