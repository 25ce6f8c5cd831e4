namespace WebVm.Vmm.Devices.Power.FixedHardware;

/// <summary>Where ACPI's fixed hardware lies (ACPI 6.5 §4.8.3): event block, control block, timer, general-purpose events.</summary>
public static class AcpiPorts
{
    public const ushort Pm1Event = 0x600;
    public const int Pm1EventLength = 4;
    public const ushort Pm1Control = 0x604;
    public const int Pm1ControlLength = 2;
    public const ushort Timer = 0x608;
    public const int TimerLength = 4;

    /// <summary>The timer counts in 32 bits (FADT flag TMR_VAL_EXT).</summary>
    public const int TimerBits = 32;

    public const ushort Gpe0 = 0x620;
    public const int Gpe0Length = 16;

    /// <summary>Command and status.</summary>
    public const ushort SmiCommand = 0xb2;
    public const int SmiLength = 2;

    /// <summary>Bytes written to <see cref="SmiCommand"/> that set and clear SCI_EN.</summary>
    public const byte AcpiEnable = 0xf1;
    public const byte AcpiDisable = 0xf0;

    /// <summary>The global system interrupt of the SCI.</summary>
    public const int SciGsi = 9;
}

/// <summary>SLP_TYP values of the sleep states in PM1 control (ACPI 6.5 §4.8.3.2.1, §7.4.2).</summary>
public static class SleepTypes
{
    public const byte S3 = 1;
    public const byte S4 = 2;
    public const byte S5 = 5;
}
