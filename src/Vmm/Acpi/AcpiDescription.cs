using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Acpi;

/// <summary>An I/O APIC as the MADT names it (ACPI 6.5 §5.2.12.3).</summary>
/// <param name="FirstGsi">Global system interrupt of its first pin.</param>
public sealed record AcpiIoApic(byte Id, uint Address, uint FirstGsi);

/// <summary>An ISA interrupt that goes elsewhere or otherwise than ISA interrupts do (§5.2.12.5).</summary>
/// <param name="Flags">MPS INTI flags: polarity and trigger mode; 0 is what the bus says.</param>
public sealed record AcpiInterruptOverride(byte Irq, uint Gsi, ushort Flags)
{
    public const ushort ConformsToBus = 0;
    public const ushort ActiveHighLevel = 0x000d;
}

/// <summary>What a machine's ACPI tables are made of beside processors and memory: devices add to it.</summary>
public sealed class AcpiDescription
{
    /// <summary>NUMA nodes; 0 for a machine that does not speak of NUMA, whose devices then have no _PXM.</summary>
    public int NodeCount { get; init; }

    /// <summary>What is below \_SB.</summary>
    public IList<AmlTerm> SystemBus { get; } = [];

    /// <summary>What is at the root of the namespace.</summary>
    public IList<AmlTerm> Root { get; } = [];

    /// <summary>Tables beside those that every machine has.</summary>
    public IList<AcpiTable> Tables { get; } = [];

    public IList<AcpiIoApic> IoApics { get; } = [];

    public IList<AcpiInterruptOverride> InterruptOverrides { get; } = [];

    public FixedHardware FixedHardware { get; } = new();
}
