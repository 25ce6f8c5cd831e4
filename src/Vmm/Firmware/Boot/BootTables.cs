using System.Buffers.Binary;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>Descriptor and page tables that a kernel's entry state needs in guest memory.</summary>
internal static class BootTables
{
    /// <summary>Flat 4 GiB code; Linux calls it __BOOT_CS (Documentation/arch/x86/boot.rst, 32-bit and 64-bit protocol).</summary>
    public const ushort CodeSelector = 0x10;

    /// <summary>Flat 4 GiB data, __BOOT_DS.</summary>
    public const ushort DataSelector = 0x18;

    public const ushort TaskSelector = 0x20;

    public const int DescriptorTableSize = 6 * 8;

    private const ulong PageSize = GuestPhysicalAddress.PageSize;
    private const ulong Present = 1 << 0;
    private const ulong Writable = 1 << 1;
    private const ulong LargePage = 1 << 7;
    private const int IdentityGigabytes = 4;

    /// <summary>Writes null, null, code, data and a task descriptor (SDM Vol. 3A §3.4.5, §7.2.3).</summary>
    public static GuestPhysicalAddress PlaceDescriptors(BootMemory memory, bool longMode)
    {
        Span<byte> table = stackalloc byte[DescriptorTableSize];
        table.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(table[CodeSelector..], longMode ? 0x00af_9b00_0000_ffffUL : 0x00cf_9b00_0000_ffffUL);
        BinaryPrimitives.WriteUInt64LittleEndian(table[DataSelector..], 0x00cf_9300_0000_ffffUL);
        // Busy TSS: the state of a processor whose TR is loaded. Its base is 0 and it is never used without a task switch.
        BinaryPrimitives.WriteUInt64LittleEndian(table[TaskSelector..], 0x0000_8b00_0000_0067UL);
        return new GuestPhysicalAddress(memory.Place("the boot GDT", table));
    }

    /// <summary>
    /// Writes tables that map the first 4 GiB to themselves with 2 MiB pages (SDM Vol. 3A §4.5): pages that every processor has.
    /// </summary>
    /// <returns>The value for CR3.</returns>
    public static GuestPhysicalAddress PlaceIdentityMap(BootMemory memory)
    {
        const int tables = 2 + IdentityGigabytes;
        ulong root = memory.Reserve("the boot page tables", tables * PageSize, PageSize);
        byte[] pages = new byte[tables * PageSize];
        WriteEntry(pages, 0, 0, (root + PageSize) | Present | Writable);
        for (int gigabyte = 0; gigabyte < IdentityGigabytes; gigabyte++)
        {
            WriteEntry(pages, 1, gigabyte, (root + ((ulong)(2 + gigabyte) * PageSize)) | Present | Writable);
            for (int entry = 0; entry < 512; entry++)
            {
                WriteEntry(pages, 2 + gigabyte, entry, (((ulong)gigabyte << 30) + ((ulong)entry << 21)) | Present | Writable | LargePage);
            }
        }

        memory.Write(root, pages);
        return new GuestPhysicalAddress(root);
    }

    public static SegmentRegister Code(bool longMode) => new()
    {
        Selector = CodeSelector,
        Limit = uint.MaxValue,
        Attributes = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.Code
            | SegmentAttributes.WritableOrReadable
            | SegmentAttributes.Accessed | SegmentAttributes.Granularity4K
            | (longMode ? SegmentAttributes.Long : SegmentAttributes.Default32),
    };

    public static SegmentRegister Data { get; } = new()
    {
        Selector = DataSelector,
        Limit = uint.MaxValue,
        Attributes = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.WritableOrReadable
            | SegmentAttributes.Accessed | SegmentAttributes.Default32 | SegmentAttributes.Granularity4K,
    };

    /// <summary>Busy 32-bit or 64-bit TSS, type 11 in both.</summary>
    public static SegmentRegister Task { get; } = new()
    {
        Selector = TaskSelector,
        Limit = 0x67,
        Attributes = SegmentAttributes.Present | SegmentAttributes.Code | SegmentAttributes.WritableOrReadable | SegmentAttributes.Accessed,
    };

    public static SegmentRegister NoLocalTable { get; } = new()
    {
        Limit = 0xffff,
        Attributes = SegmentAttributes.Unusable,
    };

    private static void WriteEntry(Span<byte> pages, int table, int entry, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(pages[((table * (int)PageSize) + (entry * 8))..], value);
}
