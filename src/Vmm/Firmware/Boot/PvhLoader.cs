using System.Buffers.Binary;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>
/// Loads an ELF kernel by the PVH protocol: 32-bit entry named by a note, with a struct hvm_start_info in EBX (Xen
/// docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h version 1).
/// </summary>
internal static class PvhLoader
{
    private const uint StartInfoMagic = 0x336e_c578;
    private const int StartInfoSize = 56;
    private const int ModuleEntrySize = 32;
    private const int MapEntrySize = 24;

    /// <summary>XEN_ELFNOTE_PHYS32_ENTRY.</summary>
    private const uint Phys32Entry = 18;

    /// <summary>Bytes of a command line that the loader takes; the kernel has limits of its own.</summary>
    public const ulong CommandLineMax = 65535;

    public static bool HasEntry(ElfImage elf) => elf.FindNote("Xen"u8, Phys32Entry) is not null;

    public static BootPlan Load(BootSource source, BootMemory memory, BootSurroundings surroundings)
    {
        var file = source.Kernel;
        var elf = ElfImage.Read(file);
        var note = elf.FindNote("Xen"u8, Phys32Entry) ?? throw file.Fault("has no PVH entry: the Xen PHYS32_ENTRY note is missing");
        ulong entry = note.Length switch
        {
            4 => BinaryPrimitives.ReadUInt32LittleEndian(note.Span),
            8 => BinaryPrimitives.ReadUInt64LittleEndian(note.Span),
            _ => throw file.Fault($"the PVH entry note has {note.Length} bytes, not 4 or 8"),
        };
        var (start, end) = elf.LoadByPhysicalAddress(memory);
        if (entry < start || entry >= end || entry > uint.MaxValue)
        {
            throw file.Fault($"the PVH entry point 0x{entry:x} lies outside the loaded kernel 0x{start:x}-0x{end:x}, or above 4 GiB");
        }

        var info = new byte[StartInfoSize];
        BinaryPrimitives.WriteUInt32LittleEndian(info, StartInfoMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(4), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(12), (uint)source.Modules.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(16), PlaceModules(source, memory));
        BinaryPrimitives.WriteUInt64LittleEndian(
            info.AsSpan(
                24), memory.Place("the command line", LinuxBootParameters.EncodeCommandLine(file, source.CommandLine, CommandLineMax)));
        BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(32), surroundings.AcpiRootPointer?.Value ?? 0);
        BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(40), PlaceMap(memory));
        BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(48), (uint)memory.Map.Entries.Count);
        return new BootPlan
        {
            Protocol = BootProtocol.Pvh,
            Entry = new(entry),
            LongMode = false,
            Map = memory.Map,
            ImageStart = new(start),
            ImageEnd = new(end),
            DescriptorTable = BootTables.PlaceDescriptors(memory, longMode: false),
            InitialRbx = memory.Place("hvm_start_info", info),
        };
    }

    private static ulong PlaceModules(BootSource source, BootMemory memory)
    {
        if (source.Modules.Count == 0)
        {
            return 0;
        }

        byte[] list = new byte[source.Modules.Count * ModuleEntrySize];
        for (int i = 0; i < source.Modules.Count; i++)
        {
            var (address, commandLine) = ModulePlacement.Place(source.Modules[i], memory, highest: true);
            var entry = list.AsSpan(i * ModuleEntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, address);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], source.Modules[i].File.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], commandLine);
        }

        return memory.Place("the module list", list);
    }

    private static ulong PlaceMap(BootMemory memory)
    {
        var entries = memory.Map.Entries;
        byte[] table = new byte[entries.Count * MapEntrySize];
        for (int i = 0; i < entries.Count; i++)
        {
            var entry = table.AsSpan(i * MapEntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, entries[i].Base.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], entries[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)entries[i].Type);
        }

        return memory.Place("the memory map", table);
    }
}
