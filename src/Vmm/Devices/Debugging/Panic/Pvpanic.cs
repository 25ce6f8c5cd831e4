using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Debugging.Panic;

/// <summary>pvpanic on the ISA bus: reads say which events are understood, writes report one (QEMU docs/specs/pvpanic).</summary>
public sealed class Pvpanic(IMachineSignals signals) : IDevice, IPortMapped, IPortHandler, IFirmwareVisible
{
    public const ushort Port = 0x505;

    private const byte Panicked = 1 << 0;
    private const byte CrashLoaded = 1 << 1;

    public string Name { get; init; } = "pvpanic";

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(Port, 1, this)];

    public void Describe(FirmwareDescription firmware) =>
        firmware.Acpi.SystemBus.Add(AmlDevices.CreateHidden("PEVT", "QEMU0001", new AmlIoPort(Port, 1)));

    public void Reset()
    {
    }

    public uint ReadPort(int offset, int size) => Panicked | CrashLoaded;

    public void WritePort(int offset, int size, uint value)
    {
        if ((value & Panicked) != 0)
        {
            signals.GuestPanicked(PanicKind.Panicked);
        }
        else if ((value & CrashLoaded) != 0)
        {
            signals.GuestPanicked(PanicKind.CrashLoaded);
        }
    }
}
