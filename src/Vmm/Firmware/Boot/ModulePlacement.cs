using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>Places the modules that PVH and Multiboot kernels are given.</summary>
internal static class ModulePlacement
{
    /// <summary>Module lists are short; the bound keeps the work for a wrong configuration small.</summary>
    public const int MaximumModules = 256;

    /// <summary>Places one module, page-aligned below 4 GiB, and its command line.</summary>
    /// <param name="highest">At the top of RAM; else at the first free place above 1 MiB.</param>
    public static (ulong Address, ulong CommandLine) Place(BootModule module, BootMemory memory, bool highest)
    {
        var file = module.File;
        ulong address = (highest
                ? memory.TakeHighest("a module", file.Length, GuestPhysicalAddress.PageSize, BootMemory.FourGigabytes)
                : memory.TakeLowest("a module", file.Length, GuestPhysicalAddress.PageSize, MemoryMap.ExtendedMemory))
            ?? throw file.Fault($"the module has {file.Length} bytes; RAM below 4 GiB has no room for it beside the kernel");
        memory.Write(address, file.Data.Span);
        ulong commandLine = memory.Place(
            "a module's command line", LinuxBootParameters.EncodeCommandLine(file, module.CommandLine, PvhLoader.CommandLineMax));
        return (address, commandLine);
    }
}
