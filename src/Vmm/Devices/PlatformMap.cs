namespace WebVm.Vmm.Devices;

/// <summary>
/// How a machine's addresses are shared out between RAM and PCI: one place for devices, firmware and boot protocols to agree on. Where a device is
/// says the device.
/// </summary>
public static class PlatformMap
{
    /// <summary>RAM starts at 0 and continues at <see cref="HighMemory"/> once it reaches this address.</summary>
    public const ulong LowMemoryEnd = 0xc000_0000;
    public const ulong HighMemory = 0x1_0000_0000;

    /// <summary>32-bit PCI memory below and above the configuration window.</summary>
    public const ulong PciMemory32 = 0xc000_0000;
    public const ulong PciMemory32End = 0xe000_0000;

    /// <summary>Enhanced configuration access, 1 MiB a bus (PCI Express Base 5.0 §7.2.2).</summary>
    public const ulong Ecam = 0xe000_0000;
    public const int EcamBuses = 256;

    /// <summary>64-bit PCI memory: the upper half of the guest physical address space.</summary>
    public const ulong PciMemory64 = 0x80_0000_0000;
    public const ulong PciMemory64End = 0x100_0000_0000;

    public const ulong LocalApic = 0xfee0_0000;

    public const ushort PciIoBase = 0x1000;
    public const ushort PciIoEnd = 0xffff;
}
