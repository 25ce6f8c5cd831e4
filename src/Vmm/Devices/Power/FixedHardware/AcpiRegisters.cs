namespace WebVm.Vmm.Devices.Power.FixedHardware;

/// <summary>PM1 status and enable bits (ACPI 6.5 §4.8.4.1, tables 4.10 and 4.11).</summary>
[Flags]
internal enum Pm1Events : ushort
{
    Timer = 1 << 0,
    BusMaster = 1 << 4,
    Global = 1 << 5,
    PowerButton = 1 << 8,
    SleepButton = 1 << 9,
    RealTimeClock = 1 << 10,
    Wake = 1 << 15,

    /// <summary>Those that can be enabled to raise the SCI.</summary>
    Interrupts = Timer | Global | PowerButton | SleepButton | RealTimeClock,
    All = Interrupts | BusMaster | Wake,
}

/// <summary>PM1 control bits (ACPI 6.5 §4.8.4.2, table 4.12).</summary>
internal static class Pm1ControlBits
{
    public const ushort SciEnable = 1 << 0;
    public const ushort BusMasterReload = 1 << 1;
    public const ushort SleepTypeMask = 7 << 10;
    public const int SleepTypeShift = 10;
    public const ushort SleepEnable = 1 << 13;
}
