using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>
/// The PCI Express root in the namespace (windows, interrupt routing, negotiation of features), and where its configuration window lies.
/// </summary>
internal static class PciRootDescription
{
    /// <summary>The _OSC of a PCI Express root (PCI Firmware 3.3 §4.5.1).</summary>
    private static readonly Guid s_hostBridgeFeatures = new("33db4d5b-1ff7-401c-9657-7441c03dd766");

    /// <summary>
    /// Granted to the guest: native hot-plug, where there is some, power management events, error reporting, the capability structure (PCI
    /// Firmware 3.3 table 4-6).
    /// </summary>
    private const ulong GrantedControls = NativeHotPlug | (1 << 2) | (1 << 3) | (1 << 4);
    private const ulong NativeHotPlug = 1 << 0;

    // Status bits in the first double word of _OSC (ACPI 6.5 §6.2.11).
    private const ulong UnrecognizedUuid = 1 << 2;
    private const ulong UnrecognizedRevision = 1 << 3;
    private const ulong CapabilitiesMasked = 1 << 4;

    public static void AddTo(AcpiDescription acpi, PciBus bus, PlatformMap map)
    {
        acpi.SystemBus.Add(Root(acpi.NodeCount > 0, bus, map));
        if (map.Ecam is { } ecam)
        {
            acpi.SystemBus.Add(ConfigurationReservation(ecam));
            acpi.Tables.Add(ConfigurationTable(ecam));
        }
    }

    private static AmlDevice Root(bool hasNodes, PciBus bus, PlatformMap map) => new("PCI0",
    [
        new AmlName("_HID", new AmlEisaId("PNP0A08")),
        new AmlName("_CID", new AmlEisaId("PNP0A03")),
        new AmlName("_UID", 0),
        new AmlName("_SEG", 0),
        new AmlName("_BBN", 0),
        new AmlName("_CCA", 1),
        new AmlName("_CRS", Windows(map)),
        new AmlName("_PRT", InterruptRouting()),
        NegotiateFeatures(Granted(bus)),
        // The root hangs on the first node; without this Linux complains that the bus has none.
        .. (hasNodes ? [new AmlName("_PXM", 0)] : Array.Empty<AmlTerm>()),
        .. bus.Functions.Where(entry => entry.Function.Bridge is not null).Select(entry => Port(entry.Slot, entry.Function.Bridge!)),
    ]);

    /// <summary>A port: where it is (§6.1.1), and what INTA#-INTD# of the device behind it come to.</summary>
    private static AmlDevice Port(PciSlot slot, PciBridge bridge) => new($"PT{slot.Number:X2}",
    [
        new AmlName("_ADR", ((ulong)slot.Device << 16) | (uint)slot.Function),
        new AmlName("_PRT", new AmlPackage(
            [.. Enumerable.Range(1, PciInterrupts.Pins).Select(pin => Wire(0, pin, bridge.SecondaryBus.GsiOf(new PciSlot(0, 0), pin)))])),
    ]);

    /// <summary>Native hot-plug is granted where a port has it.</summary>
    private static ulong Granted(PciBus bus) =>
        bus.AllFunctions.Any(function => function.Bridge is { HasHotPlug: true }) ? GrantedControls : GrantedControls & ~NativeHotPlug;

    private static AmlResourceTemplate Windows(PlatformMap map) => new(
    [
        new AmlWindow(AmlRangeKind.BusNumber, 16, 0, (ulong)(map.Ecam?.Buses ?? PlatformMap.MaximumBuses) - 1),
        new AmlIoPort(PciHostBridge.ConfigAddress, PciHostBridge.ConfigPorts),
        new AmlWindow(AmlRangeKind.Io, 16, 0, PciHostBridge.ConfigAddress - 1),
        new AmlWindow(AmlRangeKind.Io, 16, PlatformMap.PciIoBase, PlatformMap.PciIoEnd),
        .. map.Windows32.Select(window => new AmlWindow(AmlRangeKind.Memory, 32, window.First, window.End - 1)),
        .. map.Windows64.Select(window => new AmlWindow(AmlRangeKind.Memory, 64, window.First, window.End - 1, AmlCaching.Cacheable)),
    ]);

    /// <summary>INTA#-INTD# of every slot on I/O APIC pins 16-19, rotated by slot (§6.2.13).</summary>
    private static AmlPackage InterruptRouting() => new(
        [
            .. Enumerable.Range(0, PciSlot.Devices).SelectMany(device => Enumerable.Range(1, PciInterrupts.Pins)
                .Select(pin => Wire(device, pin, PciInterrupts.GsiOf(new PciSlot(device, 0), pin)))),
        ]);

    private static AmlPackage Wire(int device, int pin, int gsi) => new(((ulong)device << 16) | 0xffff, (ulong)(pin - 1), 0, (ulong)gsi);

    private static AmlMethod NegotiateFeatures(ulong grants)
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
                    new AmlBinary(AmlOperator.And, control, grants, granted),
                    new AmlIf(new AmlBinary(AmlOperator.NotEqual, new AmlArgument(1), 1),
                        [new AmlBinary(AmlOperator.Or, status, UnrecognizedRevision, status)]),
                    new AmlIf(new AmlBinary(AmlOperator.NotEqual, control, granted),
                        [new AmlBinary(AmlOperator.Or, status, CapabilitiesMasked, status)]),
                    new AmlStore(granted, control),
                ],
                [new AmlBinary(AmlOperator.Or, status, UnrecognizedUuid, status)]),
            new AmlReturn(capabilities));
    }

    /// <summary>Motherboard resources: the firmware, not a device, owns the configuration window (PCI Firmware 3.3 §4.1.2).</summary>
    private static AmlDevice ConfigurationReservation(ConfigurationWindow ecam) => AmlDevices.Create(
        "MBRD",
        "PNP0C02",
        1,
        ecam.Base < PlatformMap.HighMemory
            ? new AmlMemory32Fixed((uint)ecam.Base, (uint)ecam.Size, Writable: true)
            : new AmlWindow(AmlRangeKind.Memory, 64, ecam.Base, ecam.Range.End - 1));

    /// <summary>MCFG (PCI Firmware 3.3 §4.1.2).</summary>
    private static AcpiTable ConfigurationTable(ConfigurationWindow ecam)
    {
        var body = new AmlWriter();
        body.QuadWord(0);
        body.QuadWord(ecam.Base);
        body.Word(0);
        body.Byte(0);
        body.Byte((byte)(ecam.Buses - 1));
        body.DoubleWord(0);
        return AcpiTable.Create("MCFG", 1, body.ToArray());
    }
}
