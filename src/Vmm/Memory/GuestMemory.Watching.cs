using System.Runtime.Intrinsics;

namespace WebVm.Vmm.Memory;

/// <content>
/// Watches. What tells of writes (flags, and KVM's logs) tells once, so one look at a region is taken for all of its watches, which keep
/// what it found until their consumers ask.
/// </content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Watches a region from now on.</summary>
    public PageWatch Watch(GuestMemoryRegion region) => Watch(region, 0, region.PageCount);

    /// <summary>Watches pages of a region from now on.</summary>
    /// <exception cref="ObjectDisposedException">The region has been released.</exception>
    public PageWatch Watch(GuestMemoryRegion region, int first, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, region.PageCount - count);
        var watch = new PageWatch(this, region, first, count);
        lock (_mapLock)
        {
            ObjectDisposedException.ThrowIf(region.IsReleased, region);
            // What was written before is the others' alone.
            Look(region);
            region.Watches = [.. region.Watches, watch];
            if (region.Watches.Length == 1)
            {
                region.Found = new ulong[watch.Words];
            }

            MarkClean(region.System.Page + first, count);
            if (region.Watches.Length == 1)
            {
                TellOfTracking(region);
            }
        }

        return watch;
    }

    internal bool Collect(PageWatch watch, Span<ulong> bitmap)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bitmap.Length, watch.Words);
        lock (_mapLock)
        {
            Look(watch.Region);
            bool any = false;
            for (int word = 0; word < watch.Pending.Length; word++)
            {
                ulong pending = watch.Pending[word];
                if (pending != 0)
                {
                    bitmap[word] |= pending;
                    watch.Pending[word] = 0;
                    any = true;
                }
            }

            return any;
        }
    }

    internal void EndWatch(PageWatch watch)
    {
        lock (_mapLock)
        {
            var region = watch.Region;
            if (!region.IsWatched)
            {
                return;
            }

            region.Watches = [.. region.Watches.Where(other => other != watch)];
            if (!region.IsWatched)
            {
                TellOfTracking(region);
            }
        }
    }

    private void TellOfTracking(GuestMemoryRegion region)
    {
        foreach (var listener in _listeners)
        {
            listener.DirtyTrackingChanged(region);
        }
    }

    /// <summary>Finds what was written to since the last look, and gives it to every watch.</summary>
    private void Look(GuestMemoryRegion region)
    {
        if (!region.IsWatched)
        {
            return;
        }

        var found = region.Found.AsSpan();
        found.Clear();
        int first = region.PageCount, end = 0;
        foreach (var watch in region.Watches)
        {
            first = Math.Min(first, watch.First);
            end = Math.Max(end, watch.First + watch.Count);
        }

        if (CollectWritten(region.System.Page, first, end, found))
        {
            Interlocked.MemoryBarrierProcessWide();
        }

        foreach (var listener in _listeners)
        {
            listener.CollectDirty(region, found);
        }

        foreach (var watch in region.Watches)
        {
            watch.Add(found);
        }
    }

    private void MarkClean(SystemPage first, int count)
    {
        for (int page = 0; page < count; page++)
        {
            ChangeFlags(first + page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
        }

        Interlocked.MemoryBarrierProcessWide();
    }

    /// <summary>Finds the pages without the clean flag, sets their bits and the flag.</summary>
    /// <returns>False if there are none: no flag has been set, so stores on their way find theirs, and no barrier is needed.</returns>
    private bool CollectWritten(SystemPage region, int first, int end, Span<ulong> bitmap)
    {
        var clean = Vector256.Create((byte)Memory.PageFlags.Clean);
        bool found = false;
        byte* flags = PageFlags + region.Number;
        for (int page = first; page < end;)
        {
            // Most pages of a display are not written between two looks: they are passed over by the dozen.
            if (end - page >= Vector256<byte>.Count && (Vector256.Load(flags + page) & clean) == clean)
            {
                page += Vector256<byte>.Count;
                continue;
            }

            for (int next = Math.Min(end, page + Vector256<byte>.Count); page < next; page++)
            {
                if ((Volatile.Read(ref flags[page]) & (byte)Memory.PageFlags.Clean) == 0)
                {
                    bitmap[page >> 6] |= 1UL << (page & 63);
                    ChangeFlags(region + page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
                    found = true;
                }
            }
        }

        return found;
    }
}
