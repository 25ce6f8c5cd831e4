using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <content>What is known about each page of backing memory: flags and versions.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Every 16th observed store to a code page ends its observation.</summary>
    private const uint ForgetCodeMask = 15;

    private readonly AddressReservation _flags = AddressReservation.Zeroed(AddressSpaceSize >> PageShift);
    private readonly AddressReservation _versions = AddressReservation.Zeroed((AddressSpaceSize >> PageShift) * sizeof(uint));

    /// <summary>One <see cref="Memory.PageFlags"/> byte per page of system-physical space, indexed by <see cref="SystemPage.Number"/>.</summary>
    public byte* PageFlags => _flags.Base;

    /// <summary>One counter per page of system-physical space, advanced by every store to a page with <see cref="PageFlags.Code"/>.</summary>
    public uint* PageVersions => (uint*)_versions.Base;

    /// <summary>The slow path of a store: called after the store when the page's flag byte is not zero.</summary>
    public void StoreObserved(SystemPage page)
    {
        byte flags = Volatile.Read(ref PageFlags[page.Number]);
        if ((flags & (byte)Memory.PageFlags.Code) != 0)
        {
            // A page written again and again holds data by now: forget that it held code. The flag goes before the version: who reads the
            // new version then finds the flag clear, and who read the old one is stale.
            if ((PageVersions[page.Number] & ForgetCodeMask) == ForgetCodeMask)
            {
                ChangeFlags(page, clear: Memory.PageFlags.Code, set: Memory.PageFlags.None);
            }

            Interlocked.Increment(ref PageVersions[page.Number]);
        }

        if ((flags & (byte)Memory.PageFlags.Clean) != 0)
        {
            ChangeFlags(page, clear: Memory.PageFlags.Clean, set: Memory.PageFlags.None);
        }
    }

    /// <summary>Marks a page as holding decoded code. Decode only after this returns (see <see cref="Memory.PageFlags"/>).</summary>
    /// <returns>The version that the decoded code belongs to.</returns>
    public uint WatchCode(SystemPage page)
    {
        // The version first: see StoreObserved.
        uint version = Volatile.Read(ref PageVersions[page.Number]);
        if ((Volatile.Read(ref PageFlags[page.Number]) & (byte)Memory.PageFlags.Code) == 0)
        {
            ChangeFlags(page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Code);
            Interlocked.MemoryBarrierProcessWide();
        }

        return version;
    }

    /// <summary>Switches dirty tracking of a region; when on, pages written before the first collection are not reported.</summary>
    public void SetDirtyTracking(GuestMemoryRegion region, bool enabled)
    {
        lock (_mapLock)
        {
            if (region.DirtyTracking == enabled)
            {
                return;
            }

            region.DirtyTracking = enabled;
            if (enabled)
            {
                MarkClean(region);
            }

            foreach (var listener in _listeners)
            {
                listener.DirtyTrackingChanged(region);
            }
        }
    }

    /// <summary>
    /// Sets in <paramref name="bitmap"/> the bit of every page of the region written since the last call, and starts anew. Read
    /// the pages after this returns.
    /// </summary>
    /// <param name="bitmap">Bit n is page n of the region: at least <see cref="GuestMemoryRegion.PageCount"/> bits.</param>
    public void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bitmap.Length, (region.PageCount + 63) / 64);
        lock (_mapLock)
        {
            if (region.DirtyTracking)
            {
                if (CollectWritten(region.System.Page.Number, region.PageCount, bitmap))
                {
                    Interlocked.MemoryBarrierProcessWide();
                }

                foreach (var listener in _listeners)
                {
                    listener.CollectDirty(region, bitmap);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ObserveRange(SystemPhysicalAddress address, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        for (ulong page = address.Page.Number, last = (address + (length - 1)).Page.Number; page <= last; page++)
        {
            if (Volatile.Read(ref PageFlags[page]) != 0)
            {
                StoreObserved(new SystemPage(page));
            }
        }
    }

    private void MarkClean(GuestMemoryRegion region)
    {
        ulong first = region.System.Page.Number;
        for (ulong page = first; page < first + (ulong)region.PageCount; page++)
        {
            ChangeFlags(new SystemPage(page), clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
        }

        Interlocked.MemoryBarrierProcessWide();
    }

    /// <summary>Finds the pages without the clean flag, sets their bits and the flag.</summary>
    /// <returns>False if there are none: no flag has been set, so stores on their way find theirs, and no barrier is needed.</returns>
    private bool CollectWritten(ulong first, int count, Span<ulong> bitmap)
    {
        var clean = Vector256.Create((byte)Memory.PageFlags.Clean);
        bool found = false;
        for (int page = 0; page < count;)
        {
            // Most pages of a display are not written between two looks: they are passed over by the dozen.
            if (count - page >= Vector256<byte>.Count && (Vector256.Load(PageFlags + first + (ulong)page) & clean) == clean)
            {
                page += Vector256<byte>.Count;
                continue;
            }

            for (int end = Math.Min(count, page + Vector256<byte>.Count); page < end; page++)
            {
                if ((Volatile.Read(ref PageFlags[first + (ulong)page]) & (byte)Memory.PageFlags.Clean) == 0)
                {
                    bitmap[page >> 6] |= 1UL << (page & 63);
                    ChangeFlags(new SystemPage(first + (ulong)page), clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
                    found = true;
                }
            }
        }

        return found;
    }

    /// <summary>Changes one flag byte atomically, by a compare-exchange on the aligned word that holds it.</summary>
    private void ChangeFlags(SystemPage page, PageFlags clear, PageFlags set)
    {
        ref int word = ref Unsafe.AsRef<int>(PageFlags + (page.Number & ~3UL));
        int shift = (int)(page.Number & 3) * 8;
        int seen = Volatile.Read(ref word);
        while (true)
        {
            int next = (seen & ~((int)clear << shift)) | ((int)set << shift);
            int before = Interlocked.CompareExchange(ref word, next, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
