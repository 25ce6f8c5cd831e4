using System.Runtime.CompilerServices;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <content>
/// Absent pages: their contents come from a source when they are first touched, by whatever name. No translation leads to them, so whoever
/// resolves an address fills them first.
/// </content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Flags of eight pages at a time.</summary>
    private const ulong AbsentFlags = 0x0101_0101_0101_0101 * (ulong)Memory.PageFlags.Absent;

    private readonly List<(GuestMemoryRegion Region, IPageSource Source)> _sources = [];

    /// <summary>While it is 0 nobody looks at flags for absence.</summary>
    private long _absentPages;

    /// <summary>Pages whose contents have not come yet.</summary>
    public long AbsentPages => Volatile.Read(ref _absentPages);

    /// <summary>
    /// Forgets the contents of a region; each page's come from the source when it is first touched, or all at once where an engine reaches
    /// memory without asking (<see cref="IMemoryListener.SeesAbsentPages"/>). Only while no vCPU runs; not for memory that another process
    /// maps, which would find zeros there.
    /// </summary>
    public void MakeAbsent(GuestMemoryRegion region, IPageSource source)
    {
        lock (_mapLock)
        {
            Clear(region);
            lock (_sources)
            {
                _sources.Add((region, source));
            }

            byte* flags = PageFlags + region.System.Page.Number;
            int page = 0;
            for (; page + sizeof(ulong) <= region.PageCount; page += sizeof(ulong))
            {
                Interlocked.Or(ref *(ulong*)(flags + page), AbsentFlags);
            }

            for (; page < region.PageCount; page++)
            {
                ChangeFlags(region.System.Page + page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Absent);
            }

            Interlocked.Add(ref _absentPages, region.PageCount);
            foreach (var mapping in _mappings)
            {
                if (mapping.Region == region)
                {
                    // Translations from before lead past the look at the flag.
                    var change = new MapChange(mapping.At, mapping.Size, [mapping], [mapping]);
                    _listeners.FindAll(listener => listener.SeesAbsentPages).ForEach(listener => listener.MapChanged(change));
                }
            }

            FillWhatIsNotSeen();
        }
    }

    /// <summary>Fills whatever of a region is still absent: before its file is read by other ways.</summary>
    public void FillAbsent(GuestMemoryRegion region)
    {
        if (AbsentPages != 0)
        {
            FillAbsent(region.System, region.Size);
        }
    }

    /// <summary>Before an engine that does not ask for absent pages can reach them.</summary>
    private void FillWhatIsNotSeen()
    {
        if (AbsentPages != 0 && _listeners.Exists(listener => !listener.SeesAbsentPages))
        {
            foreach (var region in _mapped)
            {
                FillAbsent(region);
            }
        }
    }

    private void ForgetSource(GuestMemoryRegion region)
    {
        lock (_sources)
        {
            if (_sources.RemoveAll(entry => entry.Region == region) == 0)
            {
                return;
            }
        }

        for (int i = 0; i < region.PageCount; i++)
        {
            var page = region.System.Page + i;
            if (TryClaim(page))
            {
                Present(page);
            }
        }
    }

    private void FillAbsent(SystemPhysicalAddress address, ulong length)
    {
        for (ulong page = address.Page.Number, last = (address + (length - 1)).Page.Number; page <= last; page++)
        {
            FillIfAbsent(new SystemPage(page));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FillIfAbsent(SystemPage page)
    {
        var wait = default(SpinWait);
        while ((Volatile.Read(ref PageFlags[page.Number]) & (byte)Memory.PageFlags.Absent) != 0)
        {
            if (TryClaim(page))
            {
                Fill(page);
                return;
            }

            wait.SpinOnce();
        }
    }

    private void Fill(SystemPage page)
    {
        try
        {
            var (region, source) = SourceOf(page);
            ulong offset = (page.Number - region.System.Page.Number) << PageShift;
            _ = source.TryFill(offset, new Span<byte>(Host(region.System + offset), GuestPhysicalAddress.PageSize));
        }
        catch
        {
            ChangeFlags(page, clear: Memory.PageFlags.Filling, set: Memory.PageFlags.None);
            throw;
        }

        Present(page);
    }

    private void Present(SystemPage page)
    {
        ChangeFlags(page, clear: Memory.PageFlags.Absent | Memory.PageFlags.Filling, set: Memory.PageFlags.None);
        Interlocked.Decrement(ref _absentPages);
    }

    /// <summary>Makes an absent page this thread's to fill. False if another has it, or had.</summary>
    private bool TryClaim(SystemPage page)
    {
        ref int word = ref FlagWord(page, out int shift);
        int seen = Volatile.Read(ref word);
        while ((seen >> shift & (int)(Memory.PageFlags.Absent | Memory.PageFlags.Filling)) == (int)Memory.PageFlags.Absent)
        {
            int before = Interlocked.CompareExchange(ref word, seen | ((int)Memory.PageFlags.Filling << shift), seen);
            if (before == seen)
            {
                return true;
            }

            seen = before;
        }

        return false;
    }

    private (GuestMemoryRegion Region, IPageSource Source) SourceOf(SystemPage page)
    {
        lock (_sources)
        {
            return _sources.Find(entry => page.Number - entry.Region.System.Page.Number < (ulong)entry.Region.PageCount);
        }
    }
}
