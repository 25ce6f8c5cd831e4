using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.IntervalTimer;

/// <summary>The ports of the soft engine's 8254, with system control port B; see <see cref="IoApicWindow"/> for whose the chip is.</summary>
public sealed class PitPorts(Pit chip) : IDevice, IPortMapped
{
    private const ushort Counters = 0x40;
    private const ushort SystemControlB = 0x61;

    public string Name => "pit";

    public IReadOnlyList<PortWindow> PortWindows =>
    [
        new PortWindow(Counters, 4, new CounterPorts(chip)) { Width = 1 },
        new PortWindow(SystemControlB, 1, new ControlPort(chip)) { Width = 1 },
    ];

    public void Reset()
    {
    }

    private sealed class CounterPorts(Pit chip) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => chip.Read(offset);

        public void WritePort(int offset, int size, uint value) => chip.Write(offset, (byte)value);
    }

    private sealed class ControlPort(Pit chip) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => chip.ReadSystemControl();

        public void WritePort(int offset, int size, uint value) => chip.WriteSystemControl((byte)value);
    }
}
