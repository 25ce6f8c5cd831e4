using System.Numerics;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Pci;

public enum PciBarKind
{
    Io,
    Memory32,
    Memory64,
}

/// <summary>
/// One base address register (PCI Local Bus 3.0 §6.2.5): a power of two of bytes that the guest places. Behind it are registers, or
/// memory that the guest reaches without an exit.
/// </summary>
public sealed class PciBar
{
    private PciBar(PciBarKind kind, ulong size, bool prefetchable)
    {
        if (!BitOperations.IsPow2(size) || size < (kind == PciBarKind.Io ? 4u : 16u) || (kind == PciBarKind.Io && size > 256)
            || (kind == PciBarKind.Memory32 && size > 1u << 31))
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "Not a size that a base address register can have.");
        }

        Kind = kind;
        Size = size;
        Prefetchable = prefetchable;
    }

    public PciBarKind Kind { get; }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    public bool Prefetchable { get; }

    /// <summary>Where the BAR is decoded now, or null.</summary>
    public ulong? MappedAt { get; internal set; }

    internal IPortHandler? Ports { get; private init; }

    internal IMmioHandler? Registers { get; private init; }

    internal GuestMemoryRegion? Region { get; private init; }

    internal int Width { get; private init; }

    internal BusWindow? Window { get; set; }

    /// <summary>I/O ports.</summary>
    public static PciBar ForPorts(int size, IPortHandler handler, int width = 4) =>
        new(PciBarKind.Io, (ulong)size, prefetchable: false) { Ports = handler, Width = width };

    /// <summary>Memory-mapped registers.</summary>
    public static PciBar ForRegisters(ulong size, IMmioHandler handler, PciBarKind kind = PciBarKind.Memory32, int width = 8) =>
        new(kind, size, prefetchable: false) { Registers = handler, Width = width };

    /// <summary>Memory of the device.</summary>
    public static PciBar ForMemory(GuestMemoryRegion region, PciBarKind kind = PciBarKind.Memory32) =>
        new(kind, region.Size, prefetchable: true) { Region = region };
}
