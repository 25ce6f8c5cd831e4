namespace WebVm.Vmm.Firmware.Boot;

/// <summary>The Multiboot header of an OS image (Multiboot Specification 0.6.96 §3.1).</summary>
internal sealed record MultibootHeader
{
    private const uint Magic = 0x1bad_b002;

    /// <summary>The header lies completely in the first 8192 bytes, aligned to 4.</summary>
    private const ulong SearchLength = 8192;

    public const uint PageAlignModules = 1 << 0;
    public const uint MemoryInformation = 1 << 1;
    public const uint VideoMode = 1 << 2;
    public const uint AddressFields = 1 << 16;

    /// <summary>A loader that does not know one of the lower 16 flags must refuse the image.</summary>
    private const uint KnownRequirements = PageAlignModules | MemoryInformation | VideoMode;

    public required ulong Offset { get; init; }

    public required uint Flags { get; init; }

    /// <summary>The first header with a right checksum, or null.</summary>
    public static MultibootHeader? Find(BootFile file)
    {
        ulong end = Math.Min(file.Length, SearchLength);
        for (ulong at = 0; at + 12 <= end; at += 4)
        {
            if (file.UInt32(at, "Multiboot magic") == Magic)
            {
                uint flags = file.UInt32(at + 4, "Multiboot flags");
                if (unchecked(Magic + flags + file.UInt32(at + 8, "Multiboot checksum")) == 0)
                {
                    return new MultibootHeader { Offset = at, Flags = flags };
                }
            }
        }

        return null;
    }

    public void RefuseUnknownRequirements(BootFile file)
    {
        uint unknown = Flags & 0xffff & ~KnownRequirements;
        if (unknown != 0)
        {
            throw file.Fault($"the Multiboot header demands features 0x{unknown:x} that are unknown to Multiboot 0.6.96");
        }
    }
}
