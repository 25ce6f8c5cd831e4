using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>Recognizes a kernel file, places it in guest memory with what its boot protocol asks for, and says how to enter it.</summary>
public static class BootLoader
{
    /// <summary>
    /// Loads. On an exception guest memory may hold parts of the kernel; nothing outside the RAM of <paramref name="map"/> is ever written.
    /// </summary>
    /// <exception cref="BootException">The file is not bootable, broken, or does not fit the machine.</exception>
    public static BootPlan Load(BootSource source, GuestMemory memory, MemoryMap map, BootSurroundings surroundings)
    {
        if (source.Modules.Count > ModulePlacement.MaximumModules)
        {
            throw source.Kernel.Fault($"{source.Modules.Count} modules are given, more than {ModulePlacement.MaximumModules}");
        }

        var placement = new BootMemory(memory, map, source.Kernel);
        return (source.Protocol == BootProtocol.Automatic ? Recognize(source.Kernel, surroundings) : source.Protocol) switch
        {
            BootProtocol.LinuxBzImage => LinuxLoader.LoadBzImage(source, placement, surroundings),
            BootProtocol.LinuxElf => LinuxLoader.LoadElf(source, placement, surroundings),
            BootProtocol.Pvh => PvhLoader.Load(source, placement, surroundings),
            BootProtocol.Multiboot => MultibootLoader.Load(source, placement, surroundings),
            var other => throw new ArgumentOutOfRangeException(nameof(source), other, "Not a boot protocol."),
        };
    }

    /// <summary>
    /// What the file is by its contents, magic numbers and notes, and of a Linux kernel's two entries the one that suits the machine.
    /// </summary>
    public static BootProtocol Recognize(BootFile file, BootSurroundings surroundings)
    {
        if (file.Length == 0)
        {
            throw file.Fault("the file is empty");
        }

        if (LinuxSetupHeader.IsPresent(file))
        {
            return BootProtocol.LinuxBzImage;
        }

        if (MultibootHeader.Find(file) is not null)
        {
            return BootProtocol.Multiboot;
        }

        if (ElfImage.IsPresent(file))
        {
            var elf = ElfImage.Read(file);
            bool needsScreenInfo = surroundings.Framebuffer is not null && LinuxLoader.IsLinux(elf);
            return PvhLoader.HasEntry(elf) && !needsScreenInfo ? BootProtocol.Pvh
                : elf.Is64Bit ? BootProtocol.LinuxElf
                : throw file.Fault("is a 32-bit ELF file without a Multiboot header and without a PVH note");
        }

        throw file.Fault("not recognized: neither a Linux bzImage, nor an ELF kernel (PVH or Linux), nor a Multiboot image");
    }
}
