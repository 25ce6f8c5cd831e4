using System.Buffers.Binary;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>
/// Loads a Multiboot image: an ELF file, or any file whose header has the address fields ("a.out kludge"), entered in 32-bit
/// protected mode with the Multiboot information in EBX (Multiboot Specification 0.6.96).
/// </summary>
internal static class MultibootLoader
{
    /// <summary>EAX at entry (§3.2).</summary>
    private const uint LoaderMagic = 0x2bad_b002;

    private const int InformationSize = 116;
    private const int ModuleEntrySize = 16;

    private const uint HasMemory = 1 << 0;
    private const uint HasCommandLine = 1 << 2;
    private const uint HasModules = 1 << 3;
    private const uint HasMap = 1 << 6;
    private const uint HasLoaderName = 1 << 9;
    private const uint HasFramebuffer = 1 << 12;

    public static BootPlan Load(BootSource source, BootMemory memory, BootSurroundings surroundings)
    {
        var file = source.Kernel;
        var header = MultibootHeader.Find(file)
            ?? throw file.Fault("not a Multiboot image: no header with a right checksum in the first 8192 bytes");
        header.RefuseUnknownRequirements(file);
        var (start, end, entry) = (header.Flags & MultibootHeader.AddressFields) != 0
            ? LoadByAddressFields(file, header, memory)
            : LoadElf(file, memory);
        if (entry < start || entry >= end || entry > uint.MaxValue)
        {
            throw file.Fault($"the entry point 0x{entry:x} lies outside the loaded image 0x{start:x}-0x{end:x}, or above 4 GiB");
        }

        return new BootPlan
        {
            Protocol = BootProtocol.Multiboot,
            Entry = new(entry),
            LongMode = false,
            Map = memory.Map,
            ImageStart = new(start),
            ImageEnd = new(end),
            DescriptorTable = BootTables.PlaceDescriptors(memory, longMode: false),
            InitialRax = LoaderMagic,
            InitialRbx = PlaceInformation(source, memory, surroundings),
        };
    }

    private static (ulong Start, ulong End, ulong Entry) LoadElf(BootFile file, BootMemory memory)
    {
        if (!ElfImage.IsPresent(file))
        {
            throw file.Fault("the Multiboot header has no address fields and the file is not ELF");
        }

        var elf = ElfImage.Read(file);
        var (start, end) = elf.LoadByPhysicalAddress(memory);
        return (start, end, elf.PhysicalEntry);
    }

    /// <summary>§3.1.3: load_addr corresponds to the file offset that far before the header as header_addr is above it.</summary>
    private static (ulong Start, ulong End, ulong Entry) LoadByAddressFields(BootFile file, MultibootHeader header, BootMemory memory)
    {
        uint headerAddress = file.UInt32(header.Offset + 12, "header_addr");
        uint loadAddress = file.UInt32(header.Offset + 16, "load_addr");
        uint loadEnd = file.UInt32(header.Offset + 20, "load_end_addr");
        uint bssEnd = file.UInt32(header.Offset + 24, "bss_end_addr");
        uint entry = file.UInt32(header.Offset + 28, "entry_addr");
        if (loadAddress > headerAddress || headerAddress - loadAddress > header.Offset)
        {
            throw file.Fault(
                $"load_addr 0x{loadAddress:x} and header_addr 0x{headerAddress:x} do not fit a header at 0x{header.Offset:x} of the file");
        }

        ulong offset = header.Offset - (headerAddress - loadAddress);
        if (loadEnd != 0 && loadEnd < loadAddress)
        {
            throw file.Fault($"load_end_addr 0x{loadEnd:x} lies below load_addr 0x{loadAddress:x}");
        }

        ulong length = loadEnd == 0 ? file.Length - offset : loadEnd - loadAddress;
        ulong end = loadAddress + length;
        if (bssEnd != 0 && bssEnd < end)
        {
            throw file.Fault($"bss_end_addr 0x{bssEnd:x} lies below the end of the data, 0x{end:x}");
        }

        ulong clear = bssEnd == 0 ? 0 : bssEnd - end;
        var contents = file.Slice(offset, length, "the Multiboot image");
        memory.Take("the kernel", loadAddress, length + clear);
        memory.Write(loadAddress, contents);
        memory.Clear(end, clear);
        return (loadAddress, end + clear, entry);
    }

    private static ulong PlaceInformation(BootSource source, BootMemory memory, BootSurroundings surroundings)
    {
        var file = source.Kernel;
        byte[] information = new byte[InformationSize];
        // As GRUB and QEMU pass it: the image's name, then its arguments.
        string commandLine = source.CommandLine.Length > 0 ? $"{file.ShortName} {source.CommandLine}" : file.ShortName;
        byte[] map = EncodeMap(memory.Map);
        uint flags = HasMemory | HasCommandLine | HasMap | HasLoaderName;

        Write(4, (uint)(MemoryMap.ExtendedBiosData >> 10));
        ulong upper = memory.Map.LowRamEnd.Value is var lowRamEnd and > MemoryMap.ExtendedMemory ? lowRamEnd - MemoryMap.ExtendedMemory : 0;
        Write(8, (uint)(upper >> 10));
        Write(16, (uint)memory.Place(
            "the command line", LinuxBootParameters.EncodeCommandLine(file, commandLine, PvhLoader.CommandLineMax)));
        if (source.Modules.Count > 0)
        {
            flags |= HasModules;
            Write(20, (uint)source.Modules.Count);
            Write(24, PlaceModules(source, memory));
        }

        Write(44, (uint)map.Length);
        Write(48, (uint)memory.Place("the memory map", map));
        Write(64, (uint)memory.Place("the boot loader's name", "WebVm\0"u8));
        if (surroundings.Framebuffer is { } framebuffer)
        {
            flags |= HasFramebuffer;
            BinaryPrimitives.WriteUInt64LittleEndian(information.AsSpan(88), framebuffer.Base.Value);
            Write(96, (uint)framebuffer.Stride);
            Write(100, (uint)framebuffer.Width);
            Write(104, (uint)framebuffer.Height);
            // 32 bits per pixel, direct colour, then position and size of red, green and blue.
            ReadOnlySpan<byte> format = [32, 1, 16, 8, 8, 8, 0, 8];
            format.CopyTo(information.AsSpan(108));
        }

        Write(0, flags);
        return memory.Place("the Multiboot information", information);

        void Write(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(information.AsSpan(offset), value);
    }

    private static uint PlaceModules(BootSource source, BootMemory memory)
    {
        byte[] list = new byte[source.Modules.Count * ModuleEntrySize];
        for (int i = 0; i < source.Modules.Count; i++)
        {
            var (address, commandLine) = ModulePlacement.Place(source.Modules[i], memory, highest: false);
            var entry = list.AsSpan(i * ModuleEntrySize);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, (uint)address);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], (uint)(address + source.Modules[i].File.Length));
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], (uint)commandLine);
        }

        return (uint)memory.Place("the module list", list);
    }

    /// <summary>§3.3: each entry begins with its size, which does not count itself.</summary>
    private static byte[] EncodeMap(MemoryMap map)
    {
        const int size = 20;
        byte[] table = new byte[map.Entries.Count * (size + 4)];
        for (int i = 0; i < map.Entries.Count; i++)
        {
            var entry = table.AsSpan(i * (size + 4));
            BinaryPrimitives.WriteUInt32LittleEndian(entry, size);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[4..], map.Entries[i].Base.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[12..], map.Entries[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[20..], (uint)map.Entries[i].Type);
        }

        return table;
    }
}
