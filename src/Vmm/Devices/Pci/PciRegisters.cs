namespace WebVm.Vmm.Devices.Pci;

/// <summary>Offsets in the configuration header of type 0 (PCI Local Bus 3.0 §6.1), or of both types.</summary>
internal static class PciRegister
{
    public const int Vendor = 0x00;
    public const int Device = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int Revision = 0x08;
    public const int CacheLineSize = 0x0c;
    public const int HeaderType = 0x0e;
    public const int Bar0 = 0x10;
    public const int BarCount = 6;
    public const int BarsEnd = Bar0 + (4 * BarCount);
    public const int SubsystemVendor = 0x2c;
    public const int SubsystemDevice = 0x2e;
    public const int CapabilityPointer = 0x34;
    public const int InterruptLine = 0x3c;
    public const int InterruptPin = 0x3d;
    public const int FirstCapability = 0x40;

    public const byte MultiFunction = 1 << 7;
}

/// <summary>Offsets in the configuration header of type 1 (PCI Express Base 5.0 §7.5.1.3).</summary>
internal static class PciBridgeRegister
{
    public const byte HeaderType = 1;
    public const int BarCount = 2;
    public const int PrimaryBus = 0x18;
    public const int SecondaryBus = 0x19;
    public const int SubordinateBus = 0x1a;
    public const int IoBase = 0x1c;
    public const int IoLimit = 0x1d;
    public const int SecondaryStatus = 0x1e;
    public const int MemoryBase = 0x20;
    public const int MemoryLimit = 0x22;
    public const int PrefetchableBase = 0x24;
    public const int PrefetchableLimit = 0x26;
    public const int PrefetchableBaseUpper = 0x28;
    public const int PrefetchableLimitUpper = 0x2c;
    public const int Control = 0x3e;
}

/// <summary>Bits of a bridge's control register (PCI Express Base 5.0 §7.5.1.3.13). There is no VGA to forward to.</summary>
[Flags]
internal enum PciBridgeControl : ushort
{
    ParityErrorResponse = 1 << 0,
    SystemError = 1 << 1,

    /// <summary>Of each KiB of the first 64, the bridge forwards the first 256 ports alone.</summary>
    IsaEnable = 1 << 2,
    SecondaryBusReset = 1 << 6,
    Writable = ParityErrorResponse | SystemError | IsaEnable | SecondaryBusReset,
}

/// <summary>Bits of the command register (§6.2.2).</summary>
[Flags]
internal enum PciCommand : ushort
{
    IoSpace = 1 << 0,
    MemorySpace = 1 << 1,
    BusMaster = 1 << 2,
    ParityErrorResponse = 1 << 6,
    SystemError = 1 << 8,
    InterruptDisable = 1 << 10,
    Writable = IoSpace | MemorySpace | BusMaster | ParityErrorResponse | SystemError | InterruptDisable,
}

/// <summary>Bits of the status register (§6.2.3).</summary>
[Flags]
internal enum PciStatus : ushort
{
    Interrupt = 1 << 3,
    CapabilityList = 1 << 4,

    /// <summary>Error bits, cleared by writing ones.</summary>
    Clearable = 0xf900,
}

internal static class PciCapabilityId
{
    public const byte PowerManagement = 0x01;
    public const byte Msi = 0x05;
    public const byte Express = 0x10;
    public const byte MsiX = 0x11;
}
