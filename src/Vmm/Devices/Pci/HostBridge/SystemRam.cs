using System.Buffers.Binary;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>
/// The machine's RAM, from its first byte to its last, as the chipset shows it to the guest: from 0 up to where low memory ends, the rest
/// from 4 GiB on; less the
/// configuration window, and as the segments below 1 MiB say. Not synchronised, but for accesses of the guest.
/// </summary>
internal sealed class SystemRam : IMmioHandler
{
    private readonly GuestMemory _memory;
    private readonly GuestMemoryRegion[] _regions;

    /// <summary>What of the guest's addresses has been RAM's: below 4 GiB, and from there on.</summary>
    private ulong _low;
    private ulong _high;
    private ulong _mapLow;
    private AddressWindow? _hole;

    /// <summary>A <see cref="LegacySegments"/>; the guest's accesses read it too.</summary>
    private uint _segments = LegacySegments.AllMemory.ToBits();

    /// <param name="memory">With the machine's RAM mapped as <paramref name="map"/> says.</param>
    public SystemRam(GuestMemory memory, PlatformMap map)
    {
        _memory = memory;
        _regions = [.. memory.Regions.Where(region => region.Kind == GuestMemoryKind.Ram)];
        Size = _regions.Aggregate(0UL, (sum, region) => sum + region.Size);
        _mapLow = map.LowMemoryEnd;
        _low = Math.Min(Size, map.LowMemoryEnd);
        _high = Size - _low;
    }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>Where RAM from 4 GiB on ends, with low memory up to <paramref name="lowEnd"/>.</summary>
    public ulong HighEnd(ulong lowEnd) => PlatformMap.HighMemory + (Size - Math.Min(Size, lowEnd));

    /// <summary>Shows it so. Pages that stay where they are, are there all the time. Nothing else is mapped where RAM comes.</summary>
    public void Show(PlatformMap map, LegacySegments segments)
    {
        var hole = map.Ecam?.Range;
        if (_mapLow == map.LowMemoryEnd && segments.ToBits() == _segments && (hole == _hole || (IsClear(hole) && IsClear(_hole))))
        {
            _hole = hole;
            return;
        }

        _mapLow = map.LowMemoryEnd;
        _hole = hole;
        Volatile.Write(ref _segments, segments.ToBits());
        ulong low = Math.Min(Size, map.LowMemoryEnd);
        ulong high = Size - low;
        Remap(0, Math.Max(low, _low), Low(low, segments, hole));
        Remap(PlatformMap.HighMemory, Math.Max(high, _high), High(low, high, hole));
        _low = low;
        _high = high;
    }

    /// <summary>Accesses to the segments from c0000 on that are not RAM's in both directions: reads find nobody.</summary>
    public ulong ReadMmio(ulong offset, int size) => OpenBus.Read(size);

    /// <summary>Stores reach RAM where a segment is write-only, as firmware has it while it copies a ROM into the RAM behind it.</summary>
    public void WriteMmio(ulong offset, int size, ulong value)
    {
        var segments = LegacySegments.FromBits(Volatile.Read(ref _segments));
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        for (int i = 0; i < size; i++)
        {
            ulong address = LegacySegments.Shadow + offset + (ulong)i;
            if (segments.At(address) == SegmentAccess.Write && address < Size)
            {
                Write(address, bytes.Slice(i, 1));
            }
        }
    }

    /// <summary>No RAM is behind the window.</summary>
    private bool IsClear(AddressWindow? hole) => hole is null || !(hole.Overlaps(0, _low) || hole.Overlaps(PlatformMap.HighMemory, _high));

    private List<GuestMapping> Low(ulong end, LegacySegments segments, AddressWindow? hole)
    {
        var mappings = new List<GuestMapping>();
        Add(mappings, 0, 0, Math.Min(end, LegacySegments.First), BackingKind.Memory, hole);
        var boundaries = LegacySegments.Boundaries;
        for (int i = 0; i + 1 < boundaries.Count; i++)
        {
            var access = segments.At(boundaries[i]);
            if ((access & SegmentAccess.Read) != 0)
            {
                // Stores to RAM that is only read go to the bus.
                var kind = access == SegmentAccess.Memory ? BackingKind.Memory : BackingKind.WritesToBus;
                Add(mappings, boundaries[i], boundaries[i], Math.Min(end, boundaries[i + 1]), kind, hole);
            }
        }

        Add(mappings, LegacySegments.End, LegacySegments.End, end, BackingKind.Memory, hole);
        return mappings;
    }

    private List<GuestMapping> High(ulong low, ulong size, AddressWindow? hole)
    {
        var mappings = new List<GuestMapping>();
        Add(mappings, PlatformMap.HighMemory, low, PlatformMap.HighMemory + size, BackingKind.Memory, hole);
        return mappings;
    }

    /// <summary>
    /// Adds RAM from <paramref name="ram"/> on at the guest's addresses from <paramref name="at"/> to <paramref name="end"/>, but for those
    /// in the hole.
    /// </summary>
    private void Add(List<GuestMapping> mappings, ulong at, ulong ram, ulong end, BackingKind kind, AddressWindow? hole)
    {
        if (hole is not null && at < end && hole.Overlaps(at, end - at))
        {
            Add(mappings, at, ram, Math.Max(at, hole.First), kind, null);
            ulong behind = Math.Min(end, hole.End);
            Add(mappings, behind, ram + (behind - at), end, kind, null);
            return;
        }

        ulong first = 0;
        foreach (var region in _regions)
        {
            ulong from = Math.Max(ram, first);
            ulong to = Math.Min(ram + (end > at ? end - at : 0), first + region.Size);
            if (from < to)
            {
                mappings.Add(new GuestMapping(new(at + (from - ram)), region, from - first, to - from, kind));
            }

            first += region.Size;
        }
    }

    private void Remap(ulong at, ulong size, List<GuestMapping> mappings)
    {
        if (size > 0)
        {
            _memory.Remap(new(at), size, [.. mappings]);
        }
    }

    private void Write(ulong ram, ReadOnlySpan<byte> bytes)
    {
        foreach (var region in _regions)
        {
            if (ram < region.Size)
            {
                _memory.Write(region, ram, bytes);
                return;
            }

            ram -= region.Size;
        }
    }
}
