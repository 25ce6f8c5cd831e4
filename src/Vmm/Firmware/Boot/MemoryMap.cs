using WebVm.Vmm.Devices;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>Address range types of the system address map (ACPI 6.5 §15, table 15.5); E820 uses the same numbers.</summary>
public enum MemoryMapType : uint
{
    Ram = 1,
    Reserved = 2,
    AcpiReclaimable = 3,
    AcpiNvs = 4,
    Unusable = 5,
}

public readonly record struct MemoryMapEntry(GuestPhysicalAddress Base, ulong Length, MemoryMapType Type)
{
    public GuestPhysicalAddress End => Base + Length;

    public override string ToString() => $"{Base}-{End} {Type}";
}

/// <summary>
/// The system address map that firmware reports: sorted, without overlaps, adjacent entries of one type merged. Reserved ranges
/// are cut out of RAM.
/// </summary>
public sealed class MemoryMap
{
    /// <summary>Start of the extended BIOS data area; conventional memory ends here (639 KiB, as PC firmware reports).</summary>
    public const ulong ExtendedBiosData = 0x9_fc00;

    public const ulong VideoMemory = 0xa_0000;

    /// <summary>System ROM segment: holds the ACPI root pointer and SMBIOS entry point (ACPI 6.5 §5.2.5.1, SMBIOS 3.6 §5.2).</summary>
    public const ulong SystemRom = 0xf_0000;

    public const ulong ExtendedMemory = 0x10_0000;

    private readonly MemoryMapEntry[] _entries;

    private MemoryMap(MemoryMapEntry[] entries) => _entries = entries;

    public IReadOnlyList<MemoryMapEntry> Entries => _entries;

    /// <summary>What every machine reserves: EBDA, the hole for adapters and ROM below 1 MiB, the ECAM window.</summary>
    /// <remarks>Linux uses ECAM only when firmware reserves it (PCI Firmware 3.3 §4.1.2).</remarks>
    public static IReadOnlyList<MemoryMapEntry> ReservationsOf(PlatformMap map) =>
    [
        new(new(ExtendedBiosData), VideoMemory - ExtendedBiosData, MemoryMapType.Reserved),
        new(new(SystemRom), ExtendedMemory - SystemRom, MemoryMapType.Reserved),
        // One at 0, where it makes no sense, hides the others.
        .. map.Ecam is { Base: > 0 } ecam ? [new(new(ecam.Base), ecam.Size, MemoryMapType.Reserved)] : Array.Empty<MemoryMapEntry>(),
    ];

    /// <summary>Ranges that hold no RAM for the guest even where memory is mapped, and are not reported at all.</summary>
    private static readonly (ulong Start, ulong End)[] s_holes = [(VideoMemory, SystemRom)];

    /// <summary>The map of a machine's memory as it is mapped now.</summary>
    /// <param name="reserved">Besides <see cref="ReservationsOf"/>, such as the ACPI tables.</param>
    public static MemoryMap Of(GuestMemory memory, PlatformMap map, IEnumerable<MemoryMapEntry> reserved) =>
        Create(
            memory.Mappings.Where(mapping => mapping.Region.Kind == GuestMemoryKind.Ram).Select(mapping => (mapping.At, mapping.Size)),
            ReservationsOf(map).Concat(reserved));

    /// <exception cref="ArgumentException">Two reserved ranges overlap, or a range leaves the address space.</exception>
    public static MemoryMap Create(IEnumerable<(GuestPhysicalAddress Base, ulong Length)> ram, IEnumerable<MemoryMapEntry> reserved)
    {
        MemoryMapEntry[] fixedEntries = [.. reserved.Where(entry => entry.Length > 0).OrderBy(entry => entry.Base)];
        for (int i = 0; i < fixedEntries.Length; i++)
        {
            if (fixedEntries[i].Base.Value > ulong.MaxValue - fixedEntries[i].Length
                || (i > 0 && fixedEntries[i].Base < fixedEntries[i - 1].End))
            {
                throw new ArgumentException($"The reserved range {fixedEntries[i]} overlaps another or wraps around.", nameof(reserved));
            }
        }

        (ulong Start, ulong End)[] cuts = [.. fixedEntries.Select(entry => (entry.Base.Value, entry.End.Value)).Concat(s_holes).Order()];
        List<MemoryMapEntry> entries = [.. fixedEntries];
        foreach (var (start, length) in ram)
        {
            ulong at = start.Value, end = checked(start.Value + length);
            foreach (var cut in cuts)
            {
                if (cut.End <= at || cut.Start >= end)
                {
                    continue;
                }

                AddRam(entries, at, cut.Start);
                at = cut.End;
            }

            AddRam(entries, at, end);
        }

        return new MemoryMap(Merge(entries));
    }

    /// <summary>End of the RAM that begins at 1 MiB: what a 32-bit loader may use.</summary>
    public GuestPhysicalAddress LowRamEnd =>
        _entries.FirstOrDefault(entry => entry.Type == MemoryMapType.Ram && entry.Base.Value == ExtendedMemory).End;

    private static void AddRam(List<MemoryMapEntry> entries, ulong start, ulong end)
    {
        if (start < end)
        {
            entries.Add(new MemoryMapEntry(new(start), end - start, MemoryMapType.Ram));
        }
    }

    private static MemoryMapEntry[] Merge(List<MemoryMapEntry> entries)
    {
        entries.Sort((left, right) => left.Base.CompareTo(right.Base));
        List<MemoryMapEntry> merged = [];
        foreach (var entry in entries)
        {
            if (merged.Count > 0 && merged[^1] is var last && last.Type == entry.Type && last.End == entry.Base)
            {
                merged[^1] = last with { Length = last.Length + entry.Length };
            }
            else
            {
                merged.Add(entry);
            }
        }

        return [.. merged];
    }
}
