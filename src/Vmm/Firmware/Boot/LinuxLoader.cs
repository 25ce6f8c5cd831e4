using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>
/// Loads a Linux kernel by its own boot protocol: a bzImage at its 64-bit or 32-bit entry, or an ELF vmlinux at its 64-bit entry
/// (Linux Documentation/arch/x86/boot.rst).
/// </summary>
internal static class LinuxLoader
{
    private const ulong PageSize = GuestPhysicalAddress.PageSize;

    /// <summary>What COMMAND_LINE_SIZE is on x86; a vmlinux has no header that says so.</summary>
    private const uint CommandLineMax = 2047;

    /// <summary>LINUX_ELFNOTE_BUILD_SALT (linux/build-salt.h): in every kernel since 4.19, PVH entries are younger.</summary>
    private const uint BuildSaltNote = 0x100;

    /// <summary>Whether the file is a Linux kernel with the 64-bit entry, whatever other entries it has.</summary>
    public static bool IsLinux(ElfImage elf) => elf.Is64Bit && elf.FindNote("Linux"u8, BuildSaltNote) is not null;

    public static BootPlan LoadBzImage(BootSource source, BootMemory memory, BootSurroundings surroundings)
    {
        var file = source.Kernel;
        var header = LinuxSetupHeader.Read(file);
        ulong address = TakeRoomForKernel(header, memory, file);
        memory.Write(address, file.Slice(header.ImageOffset, header.ImageLength, "kernel"));

        var parameters = new LinuxBootParameters();
        parameters.CopyHeader(file.Slice(LinuxSetupHeader.Start, header.HeaderLength, "setup header"));
        parameters.SetLoader(address);
        bool longMode = header.Has64BitEntry;
        return Finish(source, memory, surroundings, parameters, new Placement
        {
            Protocol = BootProtocol.LinuxBzImage,
            Entry = longMode ? address + LinuxSetupHeader.Entry64 : address,
            LongMode = longMode,
            ImageStart = address,
            ImageEnd = address + header.InitializationSize,
            InitrdLimit = Math.Min(header.InitrdAddressMax + 1, BootMemory.FourGigabytes),
            CommandLineMax = header.CommandLineMax,
        });
    }

    public static BootPlan LoadElf(BootSource source, BootMemory memory, BootSurroundings surroundings)
    {
        var file = source.Kernel;
        var elf = ElfImage.Read(file);
        if (!elf.Is64Bit)
        {
            throw file.Fault("is a 32-bit ELF file; the Linux 64-bit entry needs an x86-64 one");
        }

        var (start, end) = elf.LoadByPhysicalAddress(memory);
        if (elf.Entry < start || elf.Entry >= end)
        {
            throw file.Fault($"the ELF entry point 0x{elf.Entry:x} lies outside the loaded kernel 0x{start:x}-0x{end:x}");
        }

        if (end > BootMemory.FourGigabytes)
        {
            throw file.Fault($"the kernel ends at 0x{end:x}, above the 4 GiB that are mapped at its entry");
        }

        var parameters = new LinuxBootParameters();
        parameters.CreateHeader();
        parameters.SetLoader(start);
        return Finish(source, memory, surroundings, parameters, new Placement
        {
            Protocol = BootProtocol.LinuxElf,
            Entry = elf.Entry,
            LongMode = true,
            ImageStart = start,
            ImageEnd = end,
            InitrdLimit = 0x8000_0000,
            CommandLineMax = CommandLineMax,
        });
    }

    private static ulong TakeRoomForKernel(LinuxSetupHeader header, BootMemory memory, BootFile file)
    {
        ulong wanted = header.PreferredAddress;
        bool fits = wanted <= BootMemory.FourGigabytes
            && wanted >= MemoryMap.ExtendedMemory
            && header.InitializationSize <= BootMemory.FourGigabytes - wanted
            && memory.IsFree(wanted, header.InitializationSize);
        if (fits)
        {
            memory.Take("the kernel", wanted, header.InitializationSize);
            return wanted;
        }

        // Above alone: a kernel that is loaded below its place moves itself there (Documentation/arch/x86/boot.rst, pref_address).
        ulong? elsewhere = header.Relocatable
            ? memory.TakeLowest("the kernel", header.InitializationSize, header.Alignment, Math.Max(wanted, MemoryMap.ExtendedMemory))
            : null;
        return elsewhere
            ?? throw file.Fault(
                $"the kernel needs {header.InitializationSize} bytes of RAM at 0x{wanted:x}; RAM ends at {memory.Map.LowRamEnd}");
    }

    private static BootPlan Finish(
        BootSource source, BootMemory memory, BootSurroundings surroundings, LinuxBootParameters parameters, Placement placement)
    {
        var file = source.Kernel;
        ulong page = memory.Reserve("boot_params", LinuxBootParameters.Size, PageSize);
        parameters.SetCommandLine(memory.Place(
            "the command line", LinuxBootParameters.EncodeCommandLine(file, source.CommandLine, placement.CommandLineMax)));
        if (source.Modules.Count > 1)
        {
            throw source.Modules[1].File.Fault("a Linux kernel takes one initrd; this is the second");
        }

        if (source.Modules.Count == 1 && source.Modules[0].File is { Length: > 0 } initrd)
        {
            // As high as allowed: the kernel unpacks itself upwards from its load address.
            ulong address = memory.TakeHighest("the initrd", initrd.Length, PageSize, placement.InitrdLimit)
                ?? throw initrd.Fault(
                    $"the initrd has {initrd.Length} bytes; RAM below 0x{placement.InitrdLimit:x} has no room for it beside the kernel");
            memory.Write(address, initrd.Data.Span);
            parameters.SetInitrd(address, initrd.Length);
        }

        parameters.SetMap(memory.Map, file);
        if (surroundings.AcpiRootPointer is { } root)
        {
            parameters.SetAcpiRootPointer(root.Value);
        }

        if (surroundings.Framebuffer is { } framebuffer)
        {
            parameters.SetFramebuffer(framebuffer);
        }

        parameters.SetRandomSeed(memory, source.RandomSeed);
        var descriptors = BootTables.PlaceDescriptors(memory, placement.LongMode);
        var pages = placement.LongMode ? BootTables.PlaceIdentityMap(memory) : default;
        memory.Write(page, parameters.Page);
        return new BootPlan
        {
            Protocol = placement.Protocol,
            Entry = new(placement.Entry),
            LongMode = placement.LongMode,
            Map = memory.Map,
            ImageStart = new(placement.ImageStart),
            ImageEnd = new(placement.ImageEnd),
            DescriptorTable = descriptors,
            PageTable = pages,
            InitialRsi = page,
        };
    }

    private sealed record Placement
    {
        public required BootProtocol Protocol { get; init; }

        public required ulong Entry { get; init; }

        public required bool LongMode { get; init; }

        public required ulong ImageStart { get; init; }

        public required ulong ImageEnd { get; init; }

        /// <summary>First address that the initrd may not occupy.</summary>
        public required ulong InitrdLimit { get; init; }

        public required uint CommandLineMax { get; init; }
    }
}
