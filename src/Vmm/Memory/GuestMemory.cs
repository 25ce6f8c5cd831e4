using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <summary>
/// The physical memory of one guest, and the only way to it. Every access is bounds-checked against the mapped regions;
/// an access that leaves them fails as a value and touches nothing.
/// </summary>
/// <remarks>
/// Guest physical address <c>a</c> lies at host address <c>HostBase + a</c> whatever region it belongs to, so an engine's
/// translation is one addition. Reads and writes are safe from any thread; as between processors of a real machine, an
/// access larger than eight bytes may be seen in parts by another thread. Copy what the guest can change, then validate the copy.
/// </remarks>
public sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>Width of a guest physical address in bits: what CPUID leaf 0x80000008 reports.</summary>
    public const int AddressBits = 40;

    /// <summary>Bytes of the guest physical address space.</summary>
    public const ulong AddressSpaceSize = 1UL << AddressBits;

    private const int PageShift = GuestPhysicalAddress.PageShift;
    private const ulong PageMask = GuestPhysicalAddress.PageSize - 1;

    /// <summary>Every 16th observed store to a code page ends its observation.</summary>
    private const uint ForgetCodeMask = 15;

    private readonly AddressReservation _space = AddressReservation.Inaccessible(AddressSpaceSize);
    private readonly AddressReservation _flags = AddressReservation.Zeroed(AddressSpaceSize >> PageShift);
    private readonly AddressReservation _versions = AddressReservation.Zeroed((AddressSpaceSize >> PageShift) * sizeof(uint));
    private readonly Lock _mapLock = new();
    private readonly List<IMemoryListener> _listeners = [];
    private readonly List<GuestMemoryRegion> _owned = [];
    private volatile GuestMemoryRegion[] _mapped = [];
    // The same regions with the places they had when the snapshot was made: a region may move while a reader holds an old one.
    private volatile MappedRange[] _ranges = [];

    /// <summary>Host address of guest physical address 0. For engines; everyone else uses the checked accessors.</summary>
    public byte* HostBase => _space.Base;

    /// <summary>One <see cref="Memory.PageFlags"/> byte per guest page, indexed by page number.</summary>
    public byte* PageFlags => _flags.Base;

    /// <summary>One counter per guest page, advanced by every store to a page with <see cref="PageFlags.Code"/>.</summary>
    public uint* PageVersions => (uint*)_versions.Base;

    /// <summary>The mapped regions in ascending order of address: a snapshot.</summary>
    public IReadOnlyList<GuestMemoryRegion> Regions => _mapped;

    /// <summary>Bytes of <see cref="GuestMemoryKind.Ram"/> now mapped.</summary>
    public ulong RamSize => _mapped.Where(region => region.Kind == GuestMemoryKind.Ram).Aggregate(0UL, (sum, region) => sum + region.Size);

    /// <summary>Creates a region that is not mapped yet. The memory is zero and costs nothing until written.</summary>
    /// <param name="size">Bytes, a positive multiple of 4096.</param>
    public GuestMemoryRegion CreateRegion(string name, GuestMemoryKind kind, ulong size, int node = 0)
    {
        if (size == 0 || (size & PageMask) != 0 || size > AddressSpaceSize)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "A memory region is a positive multiple of 4096 bytes.");
        }

        var region = new GuestMemoryRegion(name, kind, size, node, MemoryFile.Create($"guest-{name}", size));
        lock (_mapLock)
        {
            _owned.Add(region);
        }

        return region;
    }

    /// <summary>Makes the region visible to the guest. False, and no change, if it would overlap another or leave the address space.</summary>
    public bool TryMap(GuestMemoryRegion region, GuestPhysicalAddress at)
    {
        lock (_mapLock)
        {
            if ((at.Value & PageMask) != 0 || at.Value > AddressSpaceSize - region.Size || region.Base is not null
                || _mapped.Any(other => at < other.Base!.Value + other.Size && other.Base.Value < at + region.Size))
            {
                return false;
            }

            _space.Place(region.File, at.Value);
            region.Base = at;
            GuestMemoryRegion[] next = [.. _mapped.Append(region).OrderBy(r => r.Base!.Value)];
            Publish(next);
            if (region.DirtyTracking)
            {
                MarkClean(region);
            }

            foreach (var listener in _listeners)
            {
                listener.RegionAdded(region);
            }

            return true;
        }
    }

    /// <summary>Takes the region out of the guest's sight; its contents stay.</summary>
    public void Unmap(GuestMemoryRegion region)
    {
        lock (_mapLock)
        {
            if (region.Base is not { } start)
            {
                return;
            }

            Publish([.. _mapped.Where(other => other != region)]);
            foreach (var listener in _listeners)
            {
                listener.RegionRemoving(region);
            }

            _space.Clear(start.Value, region.Size);
            // Blocks decoded from the region are stale from here on.
            for (ulong page = start.Value >> PageShift, end = (start.Value + region.Size) >> PageShift; page < end; page++)
            {
                BumpVersion(page);
                PageFlags[page] = 0;
            }

            region.Base = null;
        }
    }

    /// <summary>Adds a listener and tells it of the regions that are already mapped.</summary>
    public void AddListener(IMemoryListener listener)
    {
        lock (_mapLock)
        {
            _listeners.Add(listener);
            foreach (var region in _mapped)
            {
                listener.RegionAdded(region);
            }
        }
    }

    public void RemoveListener(IMemoryListener listener)
    {
        lock (_mapLock)
        {
            _listeners.Remove(listener);
        }
    }

    /// <summary>The region that holds the address, or null.</summary>
    public GuestMemoryRegion? Find(GuestPhysicalAddress address)
    {
        var ranges = _ranges;
        int index = IndexOf(ranges, address.Value);
        return index < 0 ? null : ranges[index].Region;
    }

    /// <summary>Whether all of the range is mapped memory.</summary>
    public bool Contains(GuestPhysicalAddress address, ulong length)
    {
        if (length == 0)
        {
            return true;
        }

        var ranges = _ranges;
        int index = IndexOf(ranges, address.Value);
        if (index < 0)
        {
            return false;
        }

        ulong available = ranges[index].End - address.Value;
        while (available < length)
        {
            if (++index == ranges.Length || ranges[index].Start != ranges[index - 1].End)
            {
                return false;
            }

            available += ranges[index].End - ranges[index].Start;
        }

        return true;
    }

    /// <summary>Copies guest memory out. False, and <paramref name="destination"/> unspecified, unless all of the range is mapped.</summary>
    public bool TryRead(GuestPhysicalAddress address, Span<byte> destination)
    {
        if (!Contains(address, (ulong)destination.Length))
        {
            return false;
        }

        new ReadOnlySpan<byte>(HostBase + address.Value, destination.Length).CopyTo(destination);
        return true;
    }

    /// <summary>Copies into guest memory. False, and nothing written, unless all of the range is mapped. Writes to ROM are made: use it only for the host's own.</summary>
    public bool TryWrite(GuestPhysicalAddress address, ReadOnlySpan<byte> source)
    {
        if (!Contains(address, (ulong)source.Length))
        {
            return false;
        }

        source.CopyTo(new Span<byte>(HostBase + address.Value, source.Length));
        ObserveRange(address.Value, (ulong)source.Length);
        return true;
    }

    /// <summary>Reads one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public bool TryRead<T>(GuestPhysicalAddress address, out T value)
        where T : unmanaged
    {
        if (!Contains(address, (ulong)sizeof(T)))
        {
            value = default;
            return false;
        }

        value = Unsafe.ReadUnaligned<T>(HostBase + address.Value);
        return true;
    }

    /// <summary>Writes one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public bool TryWrite<T>(GuestPhysicalAddress address, T value)
        where T : unmanaged
    {
        if (!Contains(address, (ulong)sizeof(T)))
        {
            return false;
        }

        Unsafe.WriteUnaligned(HostBase + address.Value, value);
        ObserveRange(address.Value, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Fills a range with one byte value.</summary>
    public bool TryFill(GuestPhysicalAddress address, ulong length, byte value)
    {
        if (!Contains(address, length))
        {
            return false;
        }

        NativeMemory.Fill(HostBase + address.Value, (nuint)length, value);
        ObserveRange(address.Value, length);
        return true;
    }

    /// <summary>Makes all of the region zero by giving its pages back to the host, as at power-on. Only while no vCPU runs.</summary>
    public void Clear(GuestMemoryRegion region)
    {
        SparseFile.PunchHole(region.File.Descriptor, 0, (long)region.Size);
        if (region.Base is { } start)
        {
            ObserveRange(start.Value, region.Size);
        }
    }

    /// <summary>The slow path of a store: called after the store when the page's flag byte is not zero.</summary>
    public void StoreObserved(ulong page)
    {
        byte flags = Volatile.Read(ref PageFlags[page]);
        if ((flags & (byte)Memory.PageFlags.Code) != 0)
        {
            // A page written again and again holds data by now: forget that it held code. The flag goes before the version: who reads the
            // new version then finds the flag clear, and who read the old one is stale.
            if ((PageVersions[page] & ForgetCodeMask) == ForgetCodeMask)
            {
                ChangeFlags(page, clear: Memory.PageFlags.Code, set: Memory.PageFlags.None);
            }

            BumpVersion(page);
        }

        if ((flags & (byte)Memory.PageFlags.Clean) != 0)
        {
            ChangeFlags(page, clear: Memory.PageFlags.Clean, set: Memory.PageFlags.None);
        }
    }

    /// <summary>Marks a page as holding decoded code. Decode only after this returns (see <see cref="Memory.PageFlags"/>).</summary>
    /// <returns>The version that the decoded code belongs to.</returns>
    public uint WatchCode(ulong page)
    {
        // The version first: see StoreObserved.
        uint version = Volatile.Read(ref PageVersions[page]);
        if ((Volatile.Read(ref PageFlags[page]) & (byte)Memory.PageFlags.Code) == 0)
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
            if (enabled && region.Base is not null)
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
            if (region is { DirtyTracking: true, Base: { } start })
            {
                if (CollectWritten(start.Value >> PageShift, region.PageCount, bitmap))
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

    public void Dispose()
    {
        foreach (var region in _owned)
        {
            region.Dispose();
        }

        _space.Dispose();
        _flags.Dispose();
        _versions.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ObserveRange(ulong address, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        for (ulong page = address >> PageShift, last = (address + length - 1) >> PageShift; page <= last; page++)
        {
            if (Volatile.Read(ref PageFlags[page]) != 0)
            {
                StoreObserved(page);
            }
        }
    }

    private void Publish(GuestMemoryRegion[] regions)
    {
        _mapped = regions;
        _ranges = [.. regions.Select(region => new MappedRange(region.Base!.Value.Value, region.Base.Value.Value + region.Size, region))];
    }

    private static int IndexOf(MappedRange[] ranges, ulong address)
    {
        int low = 0, high = ranges.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            if (address < ranges[middle].Start)
            {
                high = middle - 1;
            }
            else if (address >= ranges[middle].End)
            {
                low = middle + 1;
            }
            else
            {
                return middle;
            }
        }

        return -1;
    }

    private void MarkClean(GuestMemoryRegion region)
    {
        ulong first = region.Base!.Value.Value >> PageShift;
        for (ulong page = first; page < first + (ulong)region.PageCount; page++)
        {
            ChangeFlags(page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
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
                    ChangeFlags(first + (ulong)page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Clean);
                    found = true;
                }
            }
        }

        return found;
    }

    private void BumpVersion(ulong page) => Interlocked.Increment(ref PageVersions[page]);

    /// <summary>Changes one flag byte atomically, by a compare-exchange on the aligned word that holds it.</summary>
    private void ChangeFlags(ulong page, PageFlags clear, PageFlags set)
    {
        ref int word = ref Unsafe.AsRef<int>(PageFlags + (page & ~3UL));
        int shift = (int)(page & 3) * 8;
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

    private readonly record struct MappedRange(ulong Start, ulong End, GuestMemoryRegion Region);
}
