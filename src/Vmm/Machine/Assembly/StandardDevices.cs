using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Chipset.Clock;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Chipset.IntervalTimer;
using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Chipset.LegacyInterrupts;
using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Devices.Debugging.Panic;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Devices.Input.Ps2;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Devices.Power.FixedHardware;
using WebVm.Vmm.Devices.Power.ResetRegister;
using WebVm.Vmm.Devices.Power.SystemControl;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Devices.Serial.Uart;
using WebVm.Vmm.Devices.Wires;
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
    private static readonly PciSlot s_displaySlot = new(1, 0);

    private const int LineCount = 24;

    private readonly PciHostBridge _bridge;
    private readonly DisplaySpec? _displaySpec;

    private StandardDevices(DeviceTree tree, PciHostBridge bridge, DisplaySpec? displaySpec)
    {
        Tree = tree;
        _bridge = bridge;
        _displaySpec = displaySpec;
    }

    public DeviceTree Tree { get; }

    public required AcpiPowerManagement PowerManagement { get; init; }

    public required I8042 Input { get; init; }

    public BochsDisplay? Display { get; private init; }

    public required FwCfgItems Configuration { get; init; }

    /// <summary>
    /// What firmware does with devices at power-on and reset: gives PCI functions their places, and switches the display on.
    /// </summary>
    /// <returns>The display's memory as a kernel may draw on it from the start; null without display.</returns>
    public LinearFramebuffer? PrepareForBoot(GuestMemory memory)
    {
        PciResources.Assign(_bridge.RootBus);
        if (Display is not { } display || _displaySpec is not { } spec)
        {
            return null;
        }

        memory.Clear(display.Memory);
        var mode = display.SetMode(spec.Width, spec.Height);
        return display.FramebufferAddress is { } address ? new LinearFramebuffer(address, mode.Width, mode.Height, mode.Stride) : null;
    }

    public static StandardDevices Create(
        MachineSpec spec, GuestMemory memory, SystemBus bus, ICpuEngine engine, ITimerService timers, IMachineSignals signals, SerialConsole serial)
    {
        InterruptLine[] lines = [.. Enumerable.Range(0, LineCount).Select(gsi => new InterruptLine(engine.Interrupts, gsi))];
        var resetControl = new ResetControl(signals);
        var bridge = new PciHostBridge(bus, memory, engine.Interrupts, lines[PlatformMap.PciIntxGsi..(PlatformMap.PciIntxGsi + 4)], resetControl);
        var tree = new DeviceTree(new BusConnector(bus), bridge);
        var powerManagement = new AcpiPowerManagement(timers, lines[PlatformMap.SciGsi], signals);
        var clock = new RealTimeClock(timers, lines[PlatformMap.RtcGsi], Math.Min(spec.Memory, PlatformMap.LowMemoryEnd), HighMemory(spec));
        var a20 = new A20Gate();
        tree.Add(bridge);
        tree.Add(powerManagement);
        tree.Add(resetControl);
        tree.Add(clock);
        tree.Add(new SystemControlPort(a20, signals));
        tree.Add(new Uart16550("uart0", PlatformMap.Com1, lines[PlatformMap.Com1Gsi], serial));
        var configuration = BasicConfiguration(spec);
        var input = new I8042(lines[PlatformMap.KeyboardGsi], lines[PlatformMap.MouseGsi], a20, signals);
        tree.Add(input);
        tree.Add(new FwCfg(memory, configuration));
        tree.Add(new Pvpanic(signals));
        tree.Add(new DebugExit(signals));
        if (engine is SoftEngine { Controllers: var controllers })
        {
            // KVM answers for these chips itself.
            tree.Add(new PicPorts(controllers.Pics));
            tree.Add(new PitPorts(controllers.Pit));
            tree.Add(new IoApicWindow(controllers.IoApic));
        }

        if (spec.Hpet)
        {
            tree.Add(new Hpet(timers, gsi => lines[gsi], replaced =>
            {
                clock.Disconnected = replaced;
                engine.ConnectPit(!replaced);
            }));
        }

        return new StandardDevices(tree, bridge, spec.Display)
        {
            PowerManagement = powerManagement,
            Input = input,
            Display = AddDisplay(spec, memory, bridge, tree),
            Configuration = configuration,
        };
    }

    private static ulong HighMemory(MachineSpec spec) => spec.Memory > PlatformMap.LowMemoryEnd ? spec.Memory - PlatformMap.LowMemoryEnd : 0;

    private static BochsDisplay? AddDisplay(MachineSpec spec, GuestMemory memory, PciHostBridge bridge, DeviceTree tree)
    {
        if (spec.Display is not { } wanted)
        {
            return null;
        }

        var display = new BochsDisplay(memory, wanted.Width, wanted.Height);
        bridge.Add(s_displaySlot, display.Function);
        tree.Add(display);
        return display;
    }

    private static FwCfgItems BasicConfiguration(MachineSpec spec)
    {
        var items = new FwCfgItems();
        items.Add(FwCfgKey.RamSize, spec.Memory);
        items.Add(FwCfgKey.CpuCount, (ushort)spec.Cpus);
        items.Add(FwCfgKey.MaximumCpus, (ushort)spec.Cpus);
        items.Add(FwCfgKey.NoGraphic, (ushort)(spec.Display is null ? 1 : 0));
        return items;
    }
}
