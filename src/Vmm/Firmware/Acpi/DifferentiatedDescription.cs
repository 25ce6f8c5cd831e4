using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>DSDT: the namespace of the machine's devices (ACPI 6.5 §5.2.11.1).</summary>
internal static class DifferentiatedDescription
{
    /// <summary>2 makes integers 64 bits wide (§5.2.11.1).</summary>
    private const byte Revision = 2;

    private const uint PresentEnabledFunctioning = 0xb;

    /// <summary>The counter, its capability register and three comparators.</summary>
    private const uint HpetSize = 0x400;

    private const byte FwCfgPorts = 12;

    public static AcpiTable Create(PlatformDescription platform)
    {
        AmlTerm[] definitions =
        [
            new AmlScope("\\_SB", [.. Processors(platform), PciRootBridge.Describe(platform), EcamReservation(), .. LegacyDevices(platform)]),
            SleepState("\\_S5", PlatformMap.SleepTypeS5),
        ];
        var body = new AmlWriter();
        foreach (var definition in definitions)
        {
            definition.Encode(body);
        }

        return AcpiTable.Create("DSDT", Revision, body.ToArray());
    }

    /// <summary>Values for SLP_TYP of the PM1a and PM1b control registers (§7.4.2).</summary>
    private static AmlName SleepState(string name, byte type) => new(name, new AmlPackage(type, type, 0, 0));

    /// <summary>Processor devices, linked to the MADT by _UID (§8.4).</summary>
    private static IEnumerable<AmlTerm> Processors(PlatformDescription platform) =>
        platform.Cpus.Select((cpu, index) => new AmlDevice($"C{index:X3}",
        [
            new AmlName("_HID", "ACPI0007"),
            new AmlName("_UID", cpu.Uid),
            .. (platform.NodeCount > 0 ? [new AmlName("_PXM", (ulong)cpu.Node)] : Array.Empty<AmlTerm>()),
        ]));

    /// <summary>Motherboard resources: the firmware, not a device, owns the configuration window (PCI Firmware 3.3 §4.1.2).</summary>
    private static AmlDevice EcamReservation() => new("MBRD",
        new AmlName("_HID", new AmlEisaId("PNP0C02")),
        new AmlName("_UID", 1),
        Resources(new AmlMemory32Fixed((uint)PlatformMap.Ecam, (uint)PlatformMap.EcamBuses << 20, Writable: true)));

    private static IEnumerable<AmlTerm> LegacyDevices(PlatformDescription platform)
    {
        yield return Device("PIC", "PNP0000", new AmlIoPort(0x20, 2), new AmlIoPort(0xa0, 2), new AmlIoPort(0x4d0, 2), new AmlIrq(2));
        // Where the HPET replaces the PIT and the RTC as interrupt sources they still own their ports.
        yield return Device("TIMR", "PNP0100", new AmlIoPort(0x40, 4), new AmlIrq(PlatformMap.PitIrq));
        yield return Device("RTC", "PNP0B00", new AmlIoPort(PlatformMap.Rtc, 2), new AmlIrq(PlatformMap.RtcGsi));
        if (platform.KeyboardController)
        {
            yield return Device("KBD", "PNP0303",
                new AmlIoPort(PlatformMap.Keyboard, 1), new AmlIoPort(PlatformMap.Keyboard + 4, 1), new AmlIrq(PlatformMap.KeyboardGsi));
            yield return Device("MOU", "PNP0F13", new AmlIrq(PlatformMap.MouseGsi));
        }

        for (int i = 0; i < platform.SerialPorts.Count; i++)
        {
            var port = platform.SerialPorts[i];
            yield return new AmlDevice($"COM{i + 1:X}",
                new AmlName("_HID", new AmlEisaId("PNP0501")),
                new AmlName("_UID", (ulong)i + 1),
                Resources(new AmlIoPort(port.Port, 8), new AmlIrq(port.Irq)));
        }

        if (platform.Hpet)
        {
            yield return new AmlDevice("HPET",
                new AmlName("_HID", new AmlEisaId("PNP0103")),
                new AmlName("_UID", 0),
                Resources(new AmlMemory32Fixed((uint)PlatformMap.Hpet, HpetSize, Writable: false)));
        }

        if (platform.Pvpanic)
        {
            yield return new AmlDevice("PEVT",
                new AmlName("_HID", "QEMU0001"),
                new AmlName("_STA", PresentEnabledFunctioning),
                Resources(new AmlIoPort(PlatformMap.Pvpanic, 1)));
        }

        if (platform.FwCfg)
        {
            yield return new AmlDevice("FWCF",
                new AmlName("_HID", "QEMU0002"),
                new AmlName("_STA", PresentEnabledFunctioning),
                Resources(new AmlIoPort(PlatformMap.FwCfg, FwCfgPorts)));
        }
    }

    private static AmlDevice Device(string name, string id, params AmlResource[] resources) =>
        new(name, new AmlName("_HID", new AmlEisaId(id)), Resources(resources));

    private static AmlName Resources(params AmlResource[] resources) => new("_CRS", new AmlResourceTemplate(resources));
}
