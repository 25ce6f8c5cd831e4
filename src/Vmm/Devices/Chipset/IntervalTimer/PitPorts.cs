using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.IntervalTimer;

/// <summary>
/// The ports of the 8254, with system control port B. The chip belongs to the engine, which resets and saves it with its interrupt
/// controllers.
/// </summary>
/// <param name="chip">Null for an engine that answers its accesses by itself.</param>
public sealed class PitPorts(Pit? chip) : IDevice, IPortMapped, IFirmwareVisible
{
    /// <summary>Its ISA interrupt, and the global system interrupt that this one goes to.</summary>
    public const int Irq = 0;
    public const int Gsi = 2;

    internal const ushort Counters = 0x40;
    internal const int CounterPortCount = 4;
    internal const ushort SystemControlB = 0x61;

    public string Name { get; init; } = "pit";

    public IReadOnlyList<PortWindow> PortWindows => chip is null ? [] :
    [
        new PortWindow(Counters, CounterPortCount, new CounterPorts(chip)) { Width = 1 },
        new PortWindow(SystemControlB, 1, new ControlPort(chip)) { Width = 1 },
    ];

    public void Describe(FirmwareDescription firmware)
    {
        // Where the HPET replaces PIT and RTC as interrupt sources they still own their ports.
        firmware.Acpi.SystemBus.Add(AmlDevices.Create("TIMR", "PNP0100", new AmlIoPort(Counters, CounterPortCount), new AmlIrq(Irq)));
        firmware.Acpi.InterruptOverrides.Add(new(Irq, Gsi, AcpiInterruptOverride.ConformsToBus));
    }

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
