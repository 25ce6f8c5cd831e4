namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>Which accesses to a segment below 1 MiB reach RAM; the bus gets the others.</summary>
[Flags]
internal enum SegmentAccess : byte
{
    Bus = 0,
    Read = 1,
    Write = 2,
    Memory = Read | Write,
}

/// <summary>
/// What is RAM in the segments from a0000 to fffff, whose accesses a chipset sends to RAM or to the bus: adapters' memory, 12 segments of
/// 16 KiB from c0000 on, and
/// the system ROM's from f0000 on.
/// </summary>
internal readonly record struct LegacySegments
{
    public const ulong First = 0xa_0000;
    public const ulong Shadow = 0xc_0000;
    public const ulong End = 0x10_0000;

    /// <summary>Segments that the PAM registers rule: 0 is the system ROM's, 1 to 12 those from c0000 on.</summary>
    public const int Shadows = 13;

    private const ulong SystemRom = 0xf_0000;
    private const int SegmentShift = 14;
    private const int Adapters = Shadows;

    private readonly uint _access;

    private LegacySegments(uint access) => _access = access;

    /// <summary>All of it is RAM.</summary>
    public static LegacySegments AllMemory { get; } = new((1u << (2 * (Shadows + 1))) - 1);

    /// <summary>Where one begins that is not the same as the one before; the last is the end of all.</summary>
    public static IReadOnlyList<ulong> Boundaries { get; } =
        [First, .. Enumerable.Range(0, Shadows - 1).Select(segment => Shadow + ((ulong)segment << SegmentShift)), SystemRom, End];

    public SegmentAccess this[int segment] => (SegmentAccess)((_access >> (2 * segment)) & 3);

    /// <param name="segment">0 to <see cref="Shadows"/> - 1.</param>
    public LegacySegments With(int segment, SegmentAccess access) =>
        new((_access & ~(3u << (2 * segment))) | ((uint)access << (2 * segment)));

    public LegacySegments WithAdapters(SegmentAccess access) => With(Adapters, access);

    /// <summary>In one word, that is read and written at once.</summary>
    public uint ToBits() => _access;

    public static LegacySegments FromBits(uint bits) => new(bits);

    /// <param name="address">From <see cref="First"/> to <see cref="End"/>, exclusive.</param>
    public SegmentAccess At(ulong address) =>
        this[address < Shadow ? Adapters : address >= SystemRom ? 0 : 1 + (int)((address - Shadow) >> SegmentShift)];
}
