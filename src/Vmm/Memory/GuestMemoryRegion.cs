using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

public enum GuestMemoryKind
{
    /// <summary>Ordinary memory, in the firmware's map and in a saved state.</summary>
    Ram,

    /// <summary>Readable and executable; stores of the guest have no effect.</summary>
    Rom,

    /// <summary>Readable and executable; stores of the guest go to the bus, where the flash chip's device takes them as commands.</summary>
    Flash,

    /// <summary>A device's own memory (a framebuffer), mapped where its BAR says. Saved with the device's state.</summary>
    Device,
}

/// <summary>
/// Contiguous, page-aligned backing memory: a memfd of its own, with a place in system-physical space that it keeps. Where the guest sees
/// it is
/// <see cref="GuestMemory.Mappings"/>'.
/// </summary>
public sealed class GuestMemoryRegion : IDisposable
{
    internal GuestMemoryRegion(string name, GuestMemoryKind kind, ulong size, int node, MemoryFile file, SystemPhysicalAddress system)
    {
        Name = name;
        Kind = kind;
        Size = size;
        Node = node;
        File = file;
        System = system;
    }

    public string Name { get; }

    public GuestMemoryKind Kind { get; }

    /// <summary>Bytes, a multiple of the page size.</summary>
    public ulong Size { get; }

    /// <summary>The virtual NUMA node that the memory belongs to.</summary>
    public int Node { get; }

    /// <summary>The backing file. It outlives every mapping of the region and may be shared with another process.</summary>
    public MemoryFile File { get; }

    /// <summary>Where the region begins in system-physical space.</summary>
    public SystemPhysicalAddress System { get; }

    /// <summary>The lowest address at which the guest sees the region's first page, or null while there is none.</summary>
    public GuestPhysicalAddress? Base { get; internal set; }

    /// <summary>It is the host's again, and is mapped nowhere any more.</summary>
    public bool IsReleased { get; internal set; }

    /// <summary>Somebody wants to know which of its pages are written to.</summary>
    public bool IsWatched => Watches.Length > 0;

    internal PageWatch[] Watches { get; set; } = [];

    /// <summary>What a look at the region found, for the time of the look.</summary>
    internal ulong[] Found { get; set; } = [];

    public int PageCount => (int)(Size >> GuestPhysicalAddress.PageShift);

    /// <summary>What the guest may do with it, where a mapping does not say otherwise.</summary>
    public BackingKind Access => Kind switch
    {
        GuestMemoryKind.Rom => BackingKind.ReadOnly,
        GuestMemoryKind.Flash => BackingKind.WritesToBus,
        _ => BackingKind.Memory,
    };

    public void Dispose() => File.Dispose();

    public override string ToString() => $"{Name} ({Kind}, {Size:x} bytes at {Base?.ToString() ?? "nowhere"}, node {Node})";
}
