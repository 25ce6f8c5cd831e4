using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Firmware.Description;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>DSDT: the namespace of the machine (ACPI 6.5 §5.2.11.1): its processors, and what its devices say of themselves.</summary>
internal static class DifferentiatedDescription
{
    /// <summary>2 makes integers 64 bits wide (§5.2.11.1).</summary>
    private const byte Revision = 2;

    public static AcpiTable Create(PlatformDescription platform, AcpiDescription devices)
    {
        AmlTerm[] definitions = [new AmlScope("\\_SB", [.. Processors(platform), .. devices.SystemBus]), .. devices.Root];
        var body = new AmlWriter();
        foreach (var definition in definitions)
        {
            definition.Encode(body);
        }

        return AcpiTable.Create("DSDT", Revision, body.ToArray());
    }

    /// <summary>Processor devices, linked to the MADT by _UID (§8.4).</summary>
    private static IEnumerable<AmlTerm> Processors(PlatformDescription platform) =>
        platform.Cpus.Select((cpu, index) => new AmlDevice($"C{index:X3}",
        [
            new AmlName("_HID", "ACPI0007"),
            new AmlName("_UID", cpu.Uid),
            // What may be added later is not there yet (§6.3.7).
            .. (cpu.Enabled ? Array.Empty<AmlTerm>() : [new AmlName("_STA", 0)]),
            .. (platform.NodeCount > 0 ? [new AmlName("_PXM", (ulong)cpu.Node)] : Array.Empty<AmlTerm>()),
        ]));
}
