namespace WebVm.Vmm.Acpi;

/// <summary>What the FADT says of fixed hardware (ACPI 6.5 §5.2.9); 0 is what is not there.</summary>
public sealed class FixedHardware
{
    public ushort SciInterrupt { get; set; }

    public ushort SmiCommand { get; set; }

    /// <summary>Bytes written to <see cref="SmiCommand"/> that switch ACPI mode on and off.</summary>
    public byte AcpiEnable { get; set; }

    public byte AcpiDisable { get; set; }

    public ushort Pm1Event { get; set; }

    public ushort Pm1Control { get; set; }

    public ushort PmTimer { get; set; }

    public bool PmTimerHas32Bits { get; set; }

    public ushort Gpe0 { get; set; }

    /// <summary>Bytes of status and enable registers together.</summary>
    public byte Gpe0Length { get; set; }

    /// <summary>The port that resets the machine, and what is written there.</summary>
    public ushort ResetPort { get; set; }

    public byte ResetValue { get; set; }

    /// <summary>Where the year's first two digits lie in the CMOS memory.</summary>
    public byte CenturyIndex { get; set; }

    public bool KeyboardController { get; set; }
}
