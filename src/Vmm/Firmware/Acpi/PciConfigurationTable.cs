using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>MCFG: where the enhanced configuration window lies (PCI Firmware Specification 3.3 §4.1.2).</summary>
internal static class PciConfigurationTable
{
    public static AcpiTable Create()
    {
        var body = new AmlWriter();
        body.QuadWord(0);
        body.QuadWord(PlatformMap.Ecam);
        body.Word(0);
        body.Byte(0);
        body.Byte(PlatformMap.EcamBuses - 1);
        body.DoubleWord(0);
        return AcpiTable.Create("MCFG", 1, body.ToArray());
    }
}
