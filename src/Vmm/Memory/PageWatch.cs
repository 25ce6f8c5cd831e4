namespace WebVm.Vmm.Memory;

/// <summary>
/// One consumer's view of what changes in a region: display, save, migration or whoever else. Each has every page that was written to since
/// its own last look, whoever else looks, and from the moment it began to watch.
/// </summary>
public sealed class PageWatch : IDisposable
{
    private readonly GuestMemory _memory;

    internal PageWatch(GuestMemory memory, GuestMemoryRegion region, int first, int count)
    {
        _memory = memory;
        Region = region;
        First = first;
        Count = count;
        Pending = new ulong[(region.PageCount + 63) / 64];
    }

    public GuestMemoryRegion Region { get; }

    /// <summary>The first page of the region that is watched.</summary>
    public int First { get; }

    /// <summary>How many pages from there.</summary>
    public int Count { get; }

    /// <summary>Words of a bitmap with a bit for each page of the region.</summary>
    public int Words => Pending.Length;

    /// <summary>What was found when others looked.</summary>
    internal ulong[] Pending { get; }

    /// <summary>
    /// Sets in <paramref name="bitmap"/> the bit of every watched page written to since the last call, and starts anew. Read the pages
    /// after this returns; a page that is being written to meanwhile may be told again. Allocates nothing.
    /// </summary>
    /// <param name="bitmap">Bit n is page n of the region; <see cref="Words"/> at least.</param>
    /// <returns>Whether there are any.</returns>
    public bool Collect(Span<ulong> bitmap) => _memory.Collect(this, bitmap);

    /// <summary>Ends the watch.</summary>
    public void Dispose() => _memory.EndWatch(this);

    /// <summary>Takes in what one look at the region has found.</summary>
    internal void Add(ReadOnlySpan<ulong> found)
    {
        int last = First + Count - 1;
        for (int word = First >> 6; word <= last >> 6; word++)
        {
            Pending[word] |= found[word] & Mask(word, last);
        }
    }

    private ulong Mask(int word, int last)
    {
        ulong mask = ulong.MaxValue;
        if (word == First >> 6)
        {
            mask <<= First & 63;
        }

        return word == last >> 6 ? mask & (ulong.MaxValue >> (63 - (last & 63))) : mask;
    }
}
