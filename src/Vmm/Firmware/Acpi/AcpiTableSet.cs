using System.Buffers.Binary;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>
/// All ACPI tables of a machine, laid out as one block: first a page with the FACS, which the system shares with the guest (type NVS), then
/// the tables that a guest may discard after reading (type ACPI reclaimable).
/// </summary>
public sealed class AcpiTableSet
{
    public const int RootPointerSize = 36;

    /// <summary>Bytes at the start of the block that stay in use while the guest runs.</summary>
    public const int SharedSize = GuestPhysicalAddress.PageSize;

    private const int TableAlignment = 16;

    private readonly Dictionary<AcpiTable, int> _offsets = [];

    private AcpiTableSet(AcpiTable root, IReadOnlyList<AcpiTable> tables)
    {
        Root = root;
        Tables = tables;
        int at = SharedSize;
        foreach (var table in tables)
        {
            if (table.ChecksumAt is null)
            {
                // The FACS is aligned to 64 bytes (ACPI 6.5 §5.2.10); it has the first page to itself.
                _offsets[table] = 0;
                continue;
            }

            _offsets[table] = at;
            at = (at + table.Bytes.Length + TableAlignment - 1) & ~(TableAlignment - 1);
        }

        Size = (at + GuestPhysicalAddress.PageSize - 1) & ~(GuestPhysicalAddress.PageSize - 1);
    }

    /// <summary>The XSDT, to which the root pointer leads.</summary>
    public AcpiTable Root { get; }

    /// <summary>Every table, the root among them.</summary>
    public IReadOnlyList<AcpiTable> Tables { get; }

    /// <summary>Bytes of the whole block, a multiple of the page size, whatever its address.</summary>
    public int Size { get; }

    /// <exception cref="ArgumentException">The description contradicts itself.</exception>
    public static AcpiTableSet Create(PlatformDescription platform)
    {
        platform.Validate();
        var control = FixedHardwareTables.CreateControlStructure();
        var devices = platform.DescribeDevices().Acpi;
        var namespaceTable = DifferentiatedDescription.Create(platform, devices);
        List<AcpiTable> listed =
        [
            FixedHardwareTables.Create(devices.FixedHardware, control, namespaceTable),
            InterruptControllerTable.Create(platform, devices),
            .. devices.Tables,
        ];
        if (platform.NodeCount > 0)
        {
            listed.Add(AffinityTables.CreateAffinity(platform));
            listed.Add(AffinityTables.CreateDistances(platform));
        }

        var root = AcpiTable.Create("XSDT", 1, new byte[listed.Count * 8]);
        for (int i = 0; i < listed.Count; i++)
        {
            root.Point(AcpiTable.HeaderSize + (i * 8), 8, listed[i]);
        }

        return new AcpiTableSet(root, [control, namespaceTable, .. listed, root]);
    }

    /// <summary>Where a table lies when the block is at <paramref name="block"/>.</summary>
    public GuestPhysicalAddress AddressOf(AcpiTable table, GuestPhysicalAddress block) => block + (ulong)_offsets[table];

    /// <summary>Where a table lies in the block.</summary>
    public int OffsetOf(AcpiTable table) => _offsets[table];

    /// <summary>The block's contents for the given page-aligned address below 4 GiB.</summary>
    public byte[] Build(GuestPhysicalAddress block)
    {
        byte[] bytes = new byte[Size];
        foreach (var table in Tables)
        {
            table.Resolve(target => AddressOf(target, block).Value).CopyTo(bytes, _offsets[table]);
        }

        return bytes;
    }

    /// <summary>The root system description pointer (ACPI 6.5 §5.2.5.3), to be placed in 0xe0000-0xfffff on a 16-byte boundary.</summary>
    public byte[] BuildRootPointer(GuestPhysicalAddress block)
    {
        const int firstPart = 20;
        byte[] bytes = new byte[RootPointerSize];
        "RSD PTR "u8.CopyTo(bytes);
        "WEBVM "u8.CopyTo(bytes.AsSpan(9));
        bytes[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(20), RootPointerSize);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), AddressOf(Root, block).Value);
        bytes[8] = AcpiTable.Checksum(bytes.AsSpan(0, firstPart));
        bytes[32] = AcpiTable.Checksum(bytes);
        return bytes;
    }
}
