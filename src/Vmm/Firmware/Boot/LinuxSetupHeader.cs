namespace WebVm.Vmm.Firmware.Boot;

/// <summary>The setup header of a bzImage (Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"), validated.</summary>
internal sealed record LinuxSetupHeader
{
    public const ulong Start = 0x1f1;
    private const uint Magic = 0x5372_6448;
    private const ushort BootFlag = 0xaa55;
    private const ulong SectorSize = 512;

    /// <summary>2.02 brought cmd_line_ptr; nothing older is still met.</summary>
    private const ushort OldestVersion = 0x202;

    private const byte LoadedHigh = 1 << 0;
    private const ushort Kernel64 = 1 << 0;

    public const ulong DefaultLoadAddress = 0x10_0000;

    /// <summary>Distance of the 64-bit entry from the start of the protected-mode image.</summary>
    public const ulong Entry64 = 0x200;

    public required ushort Version { get; init; }

    /// <summary>Bytes of the header from <see cref="Start"/>, to be copied into boot_params.</summary>
    public required ulong HeaderLength { get; init; }

    /// <summary>Offset of the protected-mode image in the file; it goes to the file's end.</summary>
    public required ulong ImageOffset { get; init; }

    public required ulong ImageLength { get; init; }

    /// <summary>Where the kernel wants to be.</summary>
    public required ulong PreferredAddress { get; init; }

    public required bool Relocatable { get; init; }

    /// <summary>A power of two.</summary>
    public required ulong Alignment { get; init; }

    /// <summary>Bytes from the load address that the kernel uses before it looks at the memory map.</summary>
    public required ulong InitializationSize { get; init; }

    /// <summary>The last address that an initrd may occupy.</summary>
    public required ulong InitrdAddressMax { get; init; }

    /// <summary>Characters of the command line without the terminating NUL.</summary>
    public required uint CommandLineMax { get; init; }

    public required bool Has64BitEntry { get; init; }

    /// <summary>Whether the file has the header's two magic numbers; says nothing of the rest.</summary>
    public static bool IsPresent(BootFile file) =>
        file.Has(0x1fe, 8) && file.UInt16(0x1fe, "boot flag") == BootFlag && file.UInt32(0x202, "header magic") == Magic;

    /// <summary>
    /// Loaders' own programs that borrow the header so that loaders of Linux start them: without an address for the 32-bit entry (iPXE), or
    /// by name where they leave it at Linux's default (MEMDISK).
    /// </summary>
    private static bool NeedsBios(BootFile file)
    {
        if (file.UInt32(0x214, "code32_start") == 0)
        {
            return true;
        }

        // kernel_version counts from 0x200, and 0 stands for none.
        ulong version = file.UInt16(0x20e, "kernel_version");
        ReadOnlySpan<byte> name = "MEMDISK"u8;
        return version != 0 && file.Has(version + 0x200, (ulong)name.Length)
            && file.Slice(version + 0x200, (ulong)name.Length, "kernel_version").SequenceEqual(name);
    }

    public static LinuxSetupHeader Read(BootFile file)
    {
        if (!IsPresent(file))
        {
            throw file.Fault("not a bzImage: the setup header's magic numbers are missing");
        }

        ushort version = file.UInt16(0x206, "protocol version");
        if (version < OldestVersion)
        {
            throw file.Fault($"boot protocol {version >> 8}.{version & 0xff:d2} is too old; 2.02 or later is needed");
        }

        ulong headerEnd = 0x202UL + file.Byte(0x201, "header length");
        ulong needed = version switch { >= 0x20c =>
            0x268, >= 0x20a => 0x264, >= 0x206 => 0x23c, >= 0x205 => 0x238, >= 0x203 => 0x230, _ => 0x22c };
        if (headerEnd < needed)
        {
            throw file.Fault(
                $"the setup header ends at 0x{headerEnd:x}; protocol {version >> 8}.{version & 0xff:d2} needs it up to 0x{needed:x}");
        }

        file.Slice(Start, headerEnd - Start, "setup header");
        if ((file.Byte(0x211, "loadflags") & LoadedHigh) == 0)
        {
            throw file.Fault("is a zImage, loaded below 1 MiB; only bzImage kernels can be booted");
        }

        if (NeedsBios(file))
        {
            throw file.Fault(
                "has the form of a Linux kernel, but starts in real mode and calls a BIOS (as iPXE and MEMDISK do); direct boot, which "
                + "enters kernels behind that, has none");
        }

        byte sectors = file.Byte(Start, "setup_sects");
        // For the oldest loaders 0 means 4.
        ulong imageOffset = ((sectors == 0 ? 4UL : sectors) + 1) * SectorSize;
        if (imageOffset >= file.Length)
        {
            throw file.Fault($"truncated: the kernel begins at 0x{imageOffset:x}, the file ends at 0x{file.Length:x}");
        }

        ulong imageLength = file.Length - imageOffset;
        // Before 2.04 the upper half of syssize is not reliable.
        ulong declared = 16UL * (version >= 0x204 ? file.UInt32(0x1f4, "syssize") : file.UInt16(0x1f4, "syssize"));
        if (imageLength + 15 < declared)
        {
            throw file.Fault($"truncated: the header speaks of {declared} bytes of kernel, the file has {imageLength}");
        }

        bool relocatable = version >= 0x205 && file.Byte(0x234, "relocatable_kernel") != 0;
        ulong alignment = version >= 0x205 ? file.UInt32(0x230, "kernel_alignment") : 0x1000;
        if (relocatable && (alignment == 0 || (alignment & (alignment - 1)) != 0))
        {
            throw file.Fault($"kernel_alignment 0x{alignment:x} is not a power of two");
        }

        if (version >= 0x208)
        {
            ulong payloadEnd = (ulong)file.UInt32(0x248, "payload_offset") + file.UInt32(0x24c, "payload_length");
            if (payloadEnd > imageLength)
            {
                throw file.Fault($"truncated: the compressed kernel ends at 0x{imageOffset + payloadEnd:x}, the file at 0x{file.Length:x}");
            }
        }

        ulong preferred = version >= 0x20a ? file.UInt64(0x258, "pref_address") : DefaultLoadAddress;
        ulong initializationSize = version >= 0x20a ? file.UInt32(0x260, "init_size") : imageLength;
        bool has64BitEntry = version >= 0x20c && (file.UInt16(0x236, "xloadflags") & Kernel64) != 0;
        if (has64BitEntry && imageLength <= Entry64)
        {
            throw file.Fault($"truncated: the 64-bit entry lies at 0x{Entry64:x} of a kernel of {imageLength} bytes");
        }

        return new LinuxSetupHeader
        {
            Version = version,
            HeaderLength = headerEnd - Start,
            ImageOffset = imageOffset,
            ImageLength = imageLength,
            PreferredAddress = preferred,
            Relocatable = relocatable,
            Alignment = Math.Max(alignment, 0x1000),
            InitializationSize = Math.Max(initializationSize, imageLength),
            InitrdAddressMax = version >= 0x203 ? file.UInt32(0x22c, "initrd_addr_max") : 0x37ff_ffff,
            CommandLineMax = version >= 0x206 ? file.UInt32(0x238, "cmdline_size") : 255,
            Has64BitEntry = has64BitEntry,
        };
    }
}
