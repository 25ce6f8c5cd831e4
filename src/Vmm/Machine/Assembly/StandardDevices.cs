using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Debugging;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Power;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Assembly;

/// <summary>The devices of a PC, wired to its interrupt lines and put into the device tree.</summary>
internal sealed class StandardDevices
{
    public const bool HasKeyboardController = false;

    private const int LineCount = 24;

    private StandardDevices(DeviceTree tree, AcpiPowerManagement powerManagement)
    {
        Tree = tree;
        PowerManagement = powerManagement;
    }

    public DeviceTree Tree { get; }

    public AcpiPowerManagement PowerManagement { get; }

    /// <summary>The display's memory as a kernel may draw on it from the start; null without display.</summary>
    public LinearFramebuffer? Framebuffer { get; private init; }

    public static StandardDevices Create(
        MachineSpec spec, GuestMemory memory, SystemBus bus, ICpuEngine engine, ITimerService timers, IMachineSignals signals, SerialConsole serial)
    {
        InterruptLine[] lines = [.. Enumerable.Range(0, LineCount).Select(gsi => new InterruptLine(engine.Interrupts, gsi))];
        var tree = new DeviceTree(new BusConnector(bus));
        var powerManagement = new AcpiPowerManagement(timers, lines[PlatformMap.SciGsi], signals);
        var a20 = new A20Gate();
        tree.Add(powerManagement);
        tree.Add(new ResetControl(signals));
        tree.Add(new SystemControlPort(a20, signals));
        tree.Add(new Uart16550("uart0", PlatformMap.Com1, lines[PlatformMap.Com1Gsi], serial));
        tree.Add(new FwCfg(memory, Configuration(spec)));
        tree.Add(new Pvpanic(signals));
        tree.Add(new DebugExit(signals));
        return new StandardDevices(tree, powerManagement);
    }

    private static FwCfgItems Configuration(MachineSpec spec)
    {
        var items = new FwCfgItems();
        items.Add(FwCfgKey.RamSize, spec.Memory);
        items.Add(FwCfgKey.CpuCount, (ushort)spec.Cpus);
        items.Add(FwCfgKey.MaximumCpus, (ushort)spec.Cpus);
        items.Add(FwCfgKey.NoGraphic, (ushort)(spec.Display is null ? 1 : 0));
        return items;
    }
}
