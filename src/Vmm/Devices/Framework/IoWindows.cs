namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// Port registers of a device. Offsets are from the start of the window; sizes are 1, 2 or 4 bytes; values are zero-extended.
/// </summary>
public interface IPortHandler
{
    uint ReadPort(int offset, int size);

    void WritePort(int offset, int size, uint value);
}

/// <summary>
/// Memory-mapped registers of a device. Sizes are 1, 2, 4 or 8 bytes; an access may be unaligned and never crosses the window's end.
/// </summary>
public interface IMmioHandler
{
    ulong ReadMmio(ulong offset, int size);

    void WriteMmio(ulong offset, int size, ulong value);
}

/// <summary>Ports <paramref name="First"/> to First + Count - 1.</summary>
public readonly record struct PortWindow(ushort First, int Count, IPortHandler Handler)
{
    /// <summary>The widest access that the handler takes, in bytes; the bus splits wider ones, lowest address first.</summary>
    public int Width { get; init; } = 4;
}

/// <summary>A device with port registers at fixed places.</summary>
public interface IPortMapped
{
    IReadOnlyList<PortWindow> PortWindows { get; }
}

/// <summary>Guest physical addresses Base to Base + Size - 1.</summary>
public readonly record struct MmioWindow(Memory.GuestPhysicalAddress Base, ulong Size, IMmioHandler Handler)
{
    /// <summary>The widest access that the handler takes, in bytes; the bus splits wider ones, lowest address first.</summary>
    public int Width { get; init; } = 8;
}

/// <summary>A device with memory-mapped registers at fixed places.</summary>
public interface IMemoryMapped
{
    IReadOnlyList<MmioWindow> MmioWindows { get; }
}
