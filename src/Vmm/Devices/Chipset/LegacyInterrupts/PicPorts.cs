using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.LegacyInterrupts;

/// <summary>
/// The ports of the 8259A pair. The chips belong to the engine, which resets and saves them with its other interrupt controllers.
/// </summary>
/// <param name="chips">Null for an engine that answers their accesses by itself.</param>
public sealed class PicPorts(PicPair? chips) : IDevice, IPortMapped, IFirmwareVisible
{
    internal const ushort Primary = 0x20;
    internal const ushort Secondary = 0xa0;
    internal const ushort Trigger = 0x4d0;
    internal const int PortCount = 2;

    /// <summary>The primary chip's input that the secondary hangs on.</summary>
    private const int CascadeIrq = 2;

    public string Name { get; init; } = "pic";

    public IReadOnlyList<PortWindow> PortWindows => chips is null ? [] :
    [
        new PortWindow(Primary, PortCount, new Chip(chips, secondary: false)) { Width = 1 },
        new PortWindow(Secondary, PortCount, new Chip(chips, secondary: true)) { Width = 1 },
        new PortWindow(Trigger, PortCount, new TriggerControl(chips)) { Width = 1 },
    ];

    public void Describe(FirmwareDescription firmware) => firmware.Acpi.SystemBus.Add(AmlDevices.Create(
        "PIC", "PNP0000", new AmlIoPort(Primary, PortCount), new AmlIoPort(Secondary, PortCount), new AmlIoPort(Trigger, PortCount),
        new AmlIrq(CascadeIrq)));

    public void Reset()
    {
    }

    private sealed class Chip(PicPair chips, bool secondary) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => chips.Read(secondary, offset);

        public void WritePort(int offset, int size, uint value) => chips.Write(secondary, offset, (byte)value);
    }

    private sealed class TriggerControl(PicPair chips) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => chips.ReadTrigger(secondary: offset != 0);

        public void WritePort(int offset, int size, uint value) => chips.WriteTrigger(secondary: offset != 0, (byte)value);
    }
}
