using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.LegacyInterrupts;

/// <summary>The ports of the soft engine's 8259A pair; see <see cref="IoApicWindow"/> for whose the chips are.</summary>
public sealed class PicPorts(PicPair chips) : IDevice, IPortMapped
{
    private const ushort Primary = 0x20;
    private const ushort Secondary = 0xa0;
    private const ushort Trigger = 0x4d0;

    public string Name => "pic";

    public IReadOnlyList<PortWindow> PortWindows =>
    [
        new PortWindow(Primary, 2, new Chip(chips, secondary: false)) { Width = 1 },
        new PortWindow(Secondary, 2, new Chip(chips, secondary: true)) { Width = 1 },
        new PortWindow(Trigger, 2, new TriggerControl(chips)) { Width = 1 },
    ];

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
