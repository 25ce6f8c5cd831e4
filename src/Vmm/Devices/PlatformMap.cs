using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Devices.Debugging.Panic;
using WebVm.Vmm.Devices.Power.FixedHardware;
using WebVm.Vmm.Devices.Power.ResetRegister;

namespace WebVm.Vmm.Devices;

/// <summary>Where everything of the machine lies: one place for devices, firmware tables and boot protocols to agree on.</summary>
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

    public const ulong IoApic = 0xfec0_0000;
    public const ulong Hpet = 0xfed0_0000;
    public const ulong LocalApic = 0xfee0_0000;

    public const ushort PciConfigAddress = 0xcf8;
    public const ushort PciIoBase = 0x1000;
    public const ushort PciIoEnd = 0xffff;

    /// <summary>ACPI fixed hardware (ACPI 6.5 §4.8.3): event block, control block, timer, general-purpose events.</summary>
    public const ushort Pm1Event = 0x600;
    public const ushort Pm1Control = 0x604;
    public const ushort PmTimer = 0x608;
    public const ushort Gpe0 = 0x620;
    public const int Gpe0Length = 16;
    public const ushort SmiCommand = 0xb2;

    /// <summary>Bytes written to <see cref="SmiCommand"/> that set and clear SCI_EN.</summary>
    public const byte AcpiEnable = 0xf1;
    public const byte AcpiDisable = 0xf0;

    /// <summary>The power management timer counts in 32 bits (FADT flag TMR_VAL_EXT).</summary>
    public const int PmTimerBits = 32;

    /// <summary>SLP_TYP values of the sleep states in PM1 control (ACPI 6.5 §4.8.3.2.1, §7.4.2).</summary>
    public const byte SleepTypeS3 = 1;
    public const byte SleepTypeS4 = 2;
    public const byte SleepTypeS5 = 5;

    public const ushort ResetControl = 0xcf9;

    /// <summary>Written to <see cref="ResetControl"/>: system reset, CPU reset.</summary>
    public const byte ResetValue = 0x06;

    /// <summary>System control port A: fast A20 and fast reset.</summary>
    public const ushort SystemControlA = 0x92;

    public const ushort FwCfg = 0x510;
    public const ushort Pvpanic = 0x505;
    public const ushort DebugExit = 0xf4;
    public const ushort Com1 = 0x3f8;
    public const ushort Com2 = 0x2f8;
    public const ushort Rtc = 0x70;
    public const ushort Keyboard = 0x60;

    /// <summary>Global system interrupts.</summary>
    public const int PitGsi = 2;
    public const int PitIrq = 0;
    public const int KeyboardGsi = 1;
    public const int Com1Gsi = 4;
    public const int Com2Gsi = 3;
    public const int RtcGsi = 8;
    public const int SciGsi = 9;
    public const int MouseGsi = 12;

    /// <summary>PCI INTA#-INTD# are wired to I/O APIC pins 16-19, rotated by device number; level triggered, active low.</summary>
    public const int PciIntxGsi = 16;
}
