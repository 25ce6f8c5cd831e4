using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>The PCI Express root in the namespace: windows, interrupt routing, negotiation of features.</summary>
internal static class PciRootBridge
{
    private const int Slots = 32;
    private const int Pins = 4;

    /// <summary>The _OSC of a PCI Express root (PCI Firmware 3.3 §4.5.1).</summary>
    private static readonly Guid s_hostBridgeFeatures = new("33db4d5b-1ff7-401c-9657-7441c03dd766");

    /// <summary>Granted to the guest: native hot-plug, power management events, error reporting, the capability structure (PCI Firmware 3.3 table 4-6).</summary>
    private const ulong GrantedControls = (1 << 0) | (1 << 2) | (1 << 3) | (1 << 4);

    // Status bits in the first double word of _OSC (ACPI 6.5 §6.2.11).
    private const ulong UnrecognizedUuid = 1 << 2;
    private const ulong UnrecognizedRevision = 1 << 3;
    private const ulong CapabilitiesMasked = 1 << 4;

    public static AmlDevice Describe(PlatformDescription platform) => new("PCI0",
    [
        new AmlName("_HID", new AmlEisaId("PNP0A08")),
        new AmlName("_CID", new AmlEisaId("PNP0A03")),
        new AmlName("_UID", 0),
        new AmlName("_SEG", 0),
        new AmlName("_BBN", 0),
        new AmlName("_CCA", 1),
        new AmlName("_CRS", Windows(platform)),
        new AmlName("_PRT", InterruptRouting()),
        NegotiateFeatures(),
        // The root hangs on the first node; without this Linux complains that the bus has none.
        .. (platform.NodeCount > 0 ? [new AmlName("_PXM", 0)] : Array.Empty<AmlTerm>()),
    ]);

    private static AmlResourceTemplate Windows(PlatformDescription platform) => new(
        new AmlWindow(AmlRangeKind.BusNumber, 16, 0, PlatformMap.EcamBuses - 1),
        new AmlIoPort(PlatformMap.PciConfigAddress, 8),
        new AmlWindow(AmlRangeKind.Io, 16, 0, PlatformMap.PciConfigAddress - 1),
        new AmlWindow(AmlRangeKind.Io, 16, PlatformMap.PciIoBase, PlatformMap.PciIoEnd),
        new AmlWindow(AmlRangeKind.Memory, 32, platform.PciMemory32.First, platform.PciMemory32.Last),
        new AmlWindow(AmlRangeKind.Memory, 64, platform.PciMemory64.First, platform.PciMemory64.Last, AmlCaching.Cacheable));

    /// <summary>INTA#-INTD# of every slot on I/O APIC pins 16-19, rotated by slot (§6.2.13).</summary>
    private static AmlPackage InterruptRouting() => new(
        [
            .. Enumerable.Range(0, Slots * Pins).Select(i => (Slot: i / Pins, Pin: i % Pins)).Select(wire => new AmlPackage(
                ((ulong)wire.Slot << 16) | 0xffff,
                (ulong)wire.Pin,
                0,
                (ulong)(PlatformMap.PciIntxGsi + ((wire.Slot + wire.Pin) % Pins)))),
        ]);

    private static AmlMethod NegotiateFeatures()
    {
        AmlTerm status = new AmlPath("CDW1");
        AmlTerm control = new AmlPath("CDW3");
        AmlTerm capabilities = new AmlArgument(3);
        AmlTerm granted = new AmlLocal(0);
        return new AmlMethod("_OSC", 4, Serialized: true,
            new AmlCreateDoubleWordField(capabilities, 0, "CDW1"),
            new AmlIf(new AmlBinary(AmlOperator.Equal, new AmlArgument(0), new AmlUuid(s_hostBridgeFeatures)),
                [
                    new AmlCreateDoubleWordField(capabilities, 8, "CDW3"),
                    new AmlBinary(AmlOperator.And, control, GrantedControls, granted),
                    new AmlIf(new AmlBinary(AmlOperator.NotEqual, new AmlArgument(1), 1),
                        [new AmlBinary(AmlOperator.Or, status, UnrecognizedRevision, status)]),
                    new AmlIf(new AmlBinary(AmlOperator.NotEqual, control, granted),
                        [new AmlBinary(AmlOperator.Or, status, CapabilitiesMasked, status)]),
                    new AmlStore(granted, control),
                ],
                [new AmlBinary(AmlOperator.Or, status, UnrecognizedUuid, status)]),
            new AmlReturn(capabilities));
    }
}
