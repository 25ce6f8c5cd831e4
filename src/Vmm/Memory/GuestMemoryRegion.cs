using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

public enum GuestMemoryKind
{
    /// <summary>Ordinary memory, in the firmware's map and in a saved state.</summary>
    Ram,

    /// <summary>Readable and executable; stores of the guest have no effect.</summary>
    Rom,

    /// <summary>A device's own memory (a framebuffer), mapped where its BAR says. Saved with the device's state.</summary>
    Device,
}

/// <summary>A contiguous, page-aligned piece of guest memory, backed by a memfd of its own.</summary>
public sealed class GuestMemoryRegion : IDisposable
{
    internal GuestMemoryRegion(string name, GuestMemoryKind kind, ulong size, int node, MemoryFile file)
    {
        Name = name;
        Kind = kind;
        Size = size;
        Node = node;
        File = file;
    }

    public string Name { get; }

    public GuestMemoryKind Kind { get; }

    /// <summary>Bytes, a multiple of the page size.</summary>
    public ulong Size { get; }

    /// <summary>The virtual NUMA node that the memory belongs to.</summary>
    public int Node { get; }

    /// <summary>The backing file. It outlives every mapping of the region and may be shared with another process.</summary>
    public MemoryFile File { get; }

    /// <summary>Where the guest sees the region, or null while it is not mapped.</summary>
    public GuestPhysicalAddress? Base { get; internal set; }

    public bool DirtyTracking { get; internal set; }

    public int PageCount => (int)(Size >> GuestPhysicalAddress.PageShift);

    public bool Contains(GuestPhysicalAddress address) => Base is { } start && address >= start && address - start < Size;

    public void Dispose() => File.Dispose();

    public override string ToString() => $"{Name} ({Kind}, {Size:x} bytes at {Base?.ToString() ?? "nowhere"}, node {Node})";
}
