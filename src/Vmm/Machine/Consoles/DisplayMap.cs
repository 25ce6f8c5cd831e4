namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// The memory beside a framebuffer that says what is shown and what changed, shared with viewers in other processes: a header, then for
/// each page of the framebuffer the generation in which it last changed. Little-endian (docs/control-protocol.md).
/// </summary>
internal static class DisplayMap
{
    public const uint Magic = 0x50414d44; // "DMAP"
    public const uint Version = 1;

    public const int MagicOffset = 0;
    public const int VersionOffset = 4;

    /// <summary>Odd while the fields from <see cref="ModeVersionOffset"/> on change.</summary>
    public const int SequenceOffset = 8;
    public const int PageCountOffset = 12;

    /// <summary>Advances with every look that found changes; pages carry its low 32 bits. Written after them.</summary>
    public const int GenerationOffset = 16;

    public const int ModeVersionOffset = 24;

    /// <summary>0 while the display is off.</summary>
    public const int WidthOffset = 28;
    public const int HeightOffset = 32;
    public const int BitsPerPixelOffset = 36;
    public const int StrideOffset = 40;
    public const int StartOffset = 44;

    public const int PagesOffset = 64;

    public static ulong SizeFor(int pages) => ((ulong)PagesOffset + ((ulong)pages * sizeof(uint)) + 4095) & ~4095UL;
}
