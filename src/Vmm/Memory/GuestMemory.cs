using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <summary>
/// The physical memory of one guest, and the only way to it. Every access is bounds-checked against what the guest's view has;
/// an access that leaves it fails as a value and touches nothing.
/// </summary>
/// <remarks>
/// Regions of backing memory lie side by side in system-physical space, which is one range of host addresses; each is there once and for as
/// long as it exists. The guest's view says which of their pages it sees where. So an engine translates to a place that no remapping moves,
/// and what is known about a page (<see cref="PageFlags"/>) is known under all its names.
/// Reads and writes are safe from any thread; as between processors of a real machine, an
/// access larger than eight bytes may be seen in parts by another thread. Copy what the guest can change, then validate the copy.
/// </remarks>
public sealed unsafe partial class GuestMemory : IDisposable
{
    /// <summary>Width of a guest physical address in bits: what CPUID leaf 0x80000008 reports.</summary>
    public const int AddressBits = 40;

    /// <summary>Bytes of the guest physical address space, and of the system-physical one.</summary>
    public const ulong AddressSpaceSize = 1UL << AddressBits;

    private const int PageShift = GuestPhysicalAddress.PageShift;
    private const ulong PageMask = GuestPhysicalAddress.PageSize - 1;

    /// <summary>Regions begin at multiples of it, and the first not at 0: no page has the number 0.</summary>
    private const ulong RegionAlignment = 2 << 20;

    private readonly AddressReservation _space = AddressReservation.Inaccessible(AddressSpaceSize);
    private readonly Lock _mapLock = new();
    private readonly List<IMemoryListener> _listeners = [];
    private readonly List<GuestMemoryRegion> _owned = [];
    private volatile GuestMapping[] _mappings = [];
    private volatile GuestMemoryRegion[] _mapped = [];
    private ulong _nextSystem = RegionAlignment;

    /// <summary>Host address of system-physical address 0. For engines; everyone else uses the checked accessors.</summary>
    public byte* SystemBase => _space.Base;

    /// <summary>What lies where in the guest's physical address space.</summary>
    public GuestView View { get; } = new();

    /// <summary>What the guest sees, in ascending order of address: a snapshot.</summary>
    public IReadOnlyList<GuestMapping> Mappings => _mappings;

    /// <summary>The regions that the guest sees any of, each once, in ascending order of the first address: a snapshot.</summary>
    public IReadOnlyList<GuestMemoryRegion> Regions => _mapped;

    /// <summary>All regions that have been created, whether the guest sees them or not, in that order: a snapshot.</summary>
    public IReadOnlyList<GuestMemoryRegion> AllRegions
    {
        get
        {
            lock (_mapLock)
            {
                return [.. _owned];
            }
        }
    }

    /// <summary>Bytes of <see cref="GuestMemoryKind.Ram"/> of which the guest sees any.</summary>
    public ulong RamSize => _mapped.Where(region => region.Kind == GuestMemoryKind.Ram).Aggregate(0UL, (sum, region) => sum + region.Size);

    /// <summary>
    /// Held around a locked access that is not one access of the host's: to two pages, or to what is no memory (SDM Vol. 3A §9.1.2).
    /// </summary>
    internal Lock BusLock { get; } = new();

    /// <summary>The one conversion of system-physical to host addresses.</summary>
    public byte* Host(SystemPhysicalAddress address) => SystemBase + address.Value;

    /// <summary>Creates a region that is not mapped yet. The memory is zero and costs nothing until written.</summary>
    /// <param name="size">Bytes, a positive multiple of 4096.</param>
    public GuestMemoryRegion CreateRegion(string name, GuestMemoryKind kind, ulong size, int node = 0)
    {
        if (size == 0 || (size & PageMask) != 0 || size > AddressSpaceSize)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "A memory region is a positive multiple of 4096 bytes.");
        }

        lock (_mapLock)
        {
            if (size > AddressSpaceSize - _nextSystem)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(size), size, "The machine's memory regions together exceed its address space.");
            }

            var region = new GuestMemoryRegion(
                name, kind, size, node, MemoryFile.Create($"guest-{name}", size), new SystemPhysicalAddress(_nextSystem));
            _owned.Add(region);
            _space.Place(region.File, region.System.Value);
            _nextSystem += (size + RegionAlignment - 1) & ~(RegionAlignment - 1);
            return region;
        }
    }

    /// <summary>
    /// Makes the region visible to the guest. False, and no change, if it would overlap something or leave the address space.
    /// </summary>
    public bool TryMap(GuestMemoryRegion region, GuestPhysicalAddress at) => TryMap(new GuestMapping(at, region));

    /// <inheritdoc cref="TryMap(GuestMemoryRegion, GuestPhysicalAddress)"/>
    public bool TryMap(in GuestMapping mapping)
    {
        lock (_mapLock)
        {
            if (!mapping.IsSound)
            {
                return false;
            }

            foreach (ref readonly var other in _mappings.AsSpan())
            {
                if (other.Overlaps(mapping.At, mapping.Size))
                {
                    return false;
                }
            }

            Change(mapping.At, mapping.Size, [mapping]);
            return true;
        }
    }

    /// <summary>
    /// Makes a range of the guest's address space show these mappings, and nothing between them, whatever was there. Each page is what it
    /// was or what it becomes at any moment; when this returns no vCPU uses what was before.
    /// </summary>
    /// <param name="size">Bytes, whole pages.</param>
    /// <param name="mappings">Inside the range, in ascending order.</param>
    public void Remap(GuestPhysicalAddress at, ulong size, params ReadOnlySpan<GuestMapping> mappings)
    {
        if (((at.Value | size) & PageMask) != 0 || at.Value >= AddressSpaceSize || size > AddressSpaceSize - at.Value)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "A range is whole pages inside the address space.");
        }

        var last = at;
        foreach (ref readonly var mapping in mappings)
        {
            if (!mapping.IsSound || mapping.At < last || mapping.End > at + size)
            {
                throw new ArgumentException($"{mapping} is not inside {at}+{size:x}, or out of order.", nameof(mappings));
            }

            last = mapping.End;
        }

        lock (_mapLock)
        {
            Change(at, size, mappings);
        }
    }

    /// <summary>Takes the region out of the guest's sight, wherever it is seen; its contents stay.</summary>
    public void Unmap(GuestMemoryRegion region)
    {
        lock (_mapLock)
        {
            foreach (var mapping in _mappings)
            {
                if (mapping.Region == region)
                {
                    Change(mapping.At, mapping.Size, []);
                }
            }
        }
    }

    /// <summary>Adds a listener and tells it of what is already mapped.</summary>
    public void AddListener(IMemoryListener listener)
    {
        lock (_mapLock)
        {
            _listeners.Add(listener);
            FillWhatIsNotSeen();
            if (_mappings is { Length: > 0 } mappings)
            {
                listener.MapChanged(new MapChange(mappings[0].At, mappings[^1].End - mappings[0].At, [], mappings));
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

    /// <summary>The region that the guest sees at the address, or null.</summary>
    public GuestMemoryRegion? Find(GuestPhysicalAddress address) => TryFind(address, out var mapping) ? mapping.Region : null;

    /// <summary>What is mapped at the address. For what an access does there, <see cref="Resolve"/>.</summary>
    public bool TryFind(GuestPhysicalAddress address, out GuestMapping mapping)
    {
        var mappings = _mappings;
        int low = 0, high = mappings.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            if (address < mappings[middle].At)
            {
                high = middle - 1;
            }
            else if (address >= mappings[middle].End)
            {
                low = middle + 1;
            }
            else
            {
                mapping = mappings[middle];
                return true;
            }
        }

        mapping = default;
        return false;
    }

    /// <summary>Makes all of the region zero by giving its pages back to the host, as at power-on. Only while no vCPU runs.</summary>
    public void Clear(GuestMemoryRegion region)
    {
        ForgetSource(region);
        SparseFile.PunchHole(region.File.Descriptor, 0, (long)region.Size);
        ObserveRange(region.System, region.Size);
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
        View.Dispose();
    }

    private void Change(GuestPhysicalAddress at, ulong size, ReadOnlySpan<GuestMapping> mappings)
    {
        var before = _mappings;
        var next = With(before, at, size, mappings);
        GuestMapping[] removed = [.. before.Except(next)];
        GuestMapping[] added = [.. next.Except(before)];
        if (removed.Length == 0 && added.Length == 0)
        {
            return;
        }

        _mappings = next;
        _mapped = [.. next.Select(mapping => mapping.Region).Distinct()];
        foreach (var region in removed.Concat(added).Select(mapping => mapping.Region).Distinct())
        {
            region.Base = next.Where(mapping => mapping.Region == region && mapping.Offset == 0)
                .Select(mapping => (GuestPhysicalAddress?)mapping.At).FirstOrDefault();
        }

        Show(at, size, mappings);
        FillWhatIsNotSeen();
        Tell(new MapChange(at, size, removed, added));
    }

    private void Tell(MapChange change)
    {
        foreach (var listener in _listeners)
        {
            listener.MapChanged(change);
        }
    }

    /// <summary>The map with the range replaced: what reaches into it is cut, what goes on from one piece to the next is one.</summary>
    private static GuestMapping[] With(GuestMapping[] before, GuestPhysicalAddress at, ulong size, ReadOnlySpan<GuestMapping> mappings)
    {
        List<GuestMapping> pieces = [.. mappings];
        foreach (var mapping in before)
        {
            if (!mapping.Overlaps(at, size))
            {
                pieces.Add(mapping);
                continue;
            }

            if (mapping.At < at)
            {
                pieces.Add(mapping.Within(mapping.At, at - mapping.At));
            }

            if (mapping.End > at + size)
            {
                pieces.Add(mapping.Within(at + size, mapping.End - (at + size)));
            }
        }

        pieces.Sort((left, right) => left.At.CompareTo(right.At));
        int last = 0;
        for (int i = 1; i < pieces.Count; i++)
        {
            if (pieces[last].GoesOnAs(pieces[i]))
            {
                pieces[last] = pieces[last] with { Size = pieces[last].Size + pieces[i].Size };
            }
            else
            {
                pieces[++last] = pieces[i];
            }
        }

        return [.. pieces.Take(last + 1)];
    }

    private void Show(GuestPhysicalAddress at, ulong size, ReadOnlySpan<GuestMapping> mappings)
    {
        var next = at;
        foreach (ref readonly var mapping in mappings)
        {
            View.Set(next, mapping.At - next, BackingKind.Bus, default);
            View.Set(mapping.At, mapping.Size, mapping.Kind, mapping.System);
            next = mapping.End;
        }

        View.Set(next, at + size - next, BackingKind.Bus, default);
    }
}
