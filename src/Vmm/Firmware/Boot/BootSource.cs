using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>How a kernel is entered.</summary>
public enum BootProtocol
{
    /// <summary>Recognized by the file's contents.</summary>
    Automatic,

    /// <summary>bzImage (Linux Documentation/arch/x86/boot.rst), by its 64-bit entry if it has one, else its 32-bit entry.</summary>
    LinuxBzImage,

    /// <summary>ELF vmlinux with boot_params, 64-bit entry.</summary>
    LinuxElf,

    /// <summary>PVH: ELF with a Xen PHYS32_ENTRY note, 32-bit entry with hvm_start_info.</summary>
    Pvh,

    /// <summary>Multiboot 0.6.96, 32-bit entry.</summary>
    Multiboot,
}

/// <summary>A file placed in guest memory beside the kernel, with a command line of its own.</summary>
public sealed record BootModule(BootFile File, string CommandLine = "");

/// <summary>What to boot. The files are needed until the guest has them.</summary>
public sealed record BootSource : IDisposable
{
    public required BootFile Kernel { get; init; }

    /// <summary>
    /// Linux: one initial RAM disk. PVH and Multiboot: modules in order, of which a Linux kernel takes the first as its initrd.
    /// </summary>
    public IReadOnlyList<BootModule> Modules { get; init; } = [];

    /// <summary>Encoded as UTF-8; without NUL.</summary>
    public string CommandLine { get; init; } = "";

    public BootProtocol Protocol { get; init; }

    /// <summary>Entropy handed to a Linux kernel (SETUP_RNG_SEED); null for 32 bytes from the host, empty for none.</summary>
    public ReadOnlyMemory<byte>? RandomSeed { get; init; }

    public void Dispose()
    {
        Kernel.Dispose();
        foreach (var module in Modules)
        {
            module.File.Dispose();
        }
    }
}

/// <summary>
/// A 32 bits per pixel framebuffer (blue in the lowest byte, then green, red, unused) that the guest may draw on from the start.
/// </summary>
/// <param name="Stride">Bytes from one line to the next.</param>
public sealed record LinearFramebuffer(GuestPhysicalAddress Base, int Width, int Height, int Stride);

/// <summary>What the firmware has prepared before a kernel is loaded.</summary>
public sealed record BootSurroundings
{
    /// <summary>Address of the ACPI root pointer, or null without ACPI.</summary>
    public GuestPhysicalAddress? AcpiRootPointer { get; init; }

    /// <summary>A display to hand over, or null.</summary>
    public LinearFramebuffer? Framebuffer { get; init; }
}
