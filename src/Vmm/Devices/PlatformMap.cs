using System.Text.Json.Serialization;

namespace WebVm.Vmm.Devices;

/// <summary>A range of guest-physical addresses.</summary>
/// <param name="End">Exclusive.</param>
public sealed record AddressWindow(ulong First, ulong End)
{
    /// <summary>Whether all of a range of <paramref name="size"/> bytes, at least one, lies inside.</summary>
    public bool Contains(ulong address, ulong size) => address >= First && address < End && size <= End - address;

    /// <summary>Whether any of the range lies inside.</summary>
    public bool Overlaps(ulong address, ulong size) => address < End && First - Math.Min(First, address) < size;
}

/// <summary>Enhanced configuration access: 1 MiB a bus, from bus 0 on (PCI Express Base 5.0 §7.2.2).</summary>
/// <param name="Base">A multiple of the window's size.</param>
/// <param name="Buses">64, 128 or 256.</param>
public sealed record ConfigurationWindow(ulong Base, int Buses)
{
    [JsonIgnore]
    public ulong Size => (ulong)Buses << 20;

    [JsonIgnore]
    public AddressWindow Range => new(Base, Base + Size);
}

/// <summary>
/// How a machine's addresses are shared out between RAM and PCI: what its chipset decodes, at one moment. Firmware sets it up by the
/// chipset's registers; in
/// direct boot we do. Where any other device is says the device.
/// </summary>
/// <param name="LowMemoryEnd">RAM starts at 0 and continues at <see cref="HighMemory"/> once it reaches this address, whole MiB.</param>
/// <param name="Ecam">Null while configuration space is reached by ports alone.</param>
/// <param name="Memory32">PCI memory below 4 GiB; the configuration window, where it lies inside, is not part of it.</param>
/// <param name="Memory64">PCI memory from 4 GiB on, for BARs of 64 bits.</param>
public sealed record PlatformMap(ulong LowMemoryEnd, ConfigurationWindow? Ecam, AddressWindow Memory32, AddressWindow Memory64)
{
    public const ulong HighMemory = 0x1_0000_0000;

    /// <summary>From here to 4 GiB are the chipset's own devices and firmware: never RAM, nor PCI's.</summary>
    public const ulong FixedDevices = 0xfec0_0000;

    public const ulong LocalApic = 0xfee0_0000;

    /// <summary>The upper half of the guest-physical address space is PCI's.</summary>
    public const ulong HighPci = Memory.GuestMemory.AddressSpaceSize / 2;

    public const ushort PciIoBase = 0x1000;
    public const ushort PciIoEnd = 0xffff;

    /// <summary>Bus numbers that there are.</summary>
    public const int MaximumBuses = 256;

    /// <summary><see cref="LowMemoryEnd"/> of <see cref="Direct"/>.</summary>
    public const ulong DirectLowMemoryEnd = 0xc000_0000;

    internal const ulong Granularity = 1 << 20;

    /// <summary>What a machine has that is booted directly.</summary>
    public static PlatformMap Direct { get; } = new(
        DirectLowMemoryEnd, new(0xe000_0000, MaximumBuses), new(0xc000_0000, 0xe000_0000),
        new(HighPci, Memory.GuestMemory.AddressSpaceSize));

    /// <summary><see cref="Memory32"/> without the configuration window: one window, or two.</summary>
    [JsonIgnore]
    public IReadOnlyList<AddressWindow> Windows32 => WithoutEcam(Memory32);

    /// <summary><see cref="Memory64"/> without the configuration window: one window, or two.</summary>
    [JsonIgnore]
    public IReadOnlyList<AddressWindow> Windows64 => WithoutEcam(Memory64);

    /// <summary>What is wrong with the map, or null. One that is sound may still make no sense to a guest.</summary>
    internal string? Fault() =>
        LowMemoryEnd is < Granularity or > FixedDevices
            || LowMemoryEnd % Granularity != 0 ? $"RAM below 4 GiB cannot end at 0x{LowMemoryEnd:x}"
        : Ecam is { } ecam && !IsSound(ecam) ? $"the configuration window cannot have {ecam.Buses} buses at 0x{ecam.Base:x}"
        : !IsInside(Memory32, LowMemoryEnd, FixedDevices) ? "PCI memory below 4 GiB is not between RAM and the chipset's devices"
        : !IsInside(Memory64, HighMemory, Memory.GuestMemory.AddressSpaceSize) ? "PCI memory above 4 GiB is not there"
        : null;

    private IReadOnlyList<AddressWindow> WithoutEcam(AddressWindow window) =>
        Ecam?.Range is not { } ecam || !window.Overlaps(ecam.First, ecam.End - ecam.First)
            ? Pieces(window)
            : Pieces(new(window.First, Math.Max(window.First, ecam.First)), new(Math.Min(window.End, ecam.End), window.End));

    private static bool IsSound(ConfigurationWindow ecam) =>
        ecam.Buses is 64 or 128 or 256 && ecam.Base % ecam.Size == 0 && ecam.Base <= Memory.GuestMemory.AddressSpaceSize - ecam.Size;

    private static bool IsInside(AddressWindow window, ulong first, ulong end) =>
        window.First >= first && window.First <= window.End && window.End <= end;

    private static IReadOnlyList<AddressWindow> Pieces(params ReadOnlySpan<AddressWindow> windows)
    {
        var pieces = new List<AddressWindow>(windows.Length);
        foreach (var window in windows)
        {
            if (window.First < window.End)
            {
                pieces.Add(window);
            }
        }

        return pieces;
    }
}

/// <summary>A device that has the map of the machine's addresses: its chipset.</summary>
public interface IAddressMap
{
    /// <summary>As it is now.</summary>
    PlatformMap Map { get; }

    /// <summary>Firmware changes it, by registers.</summary>
    bool IsProgrammable { get; }
}
