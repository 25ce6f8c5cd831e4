using WebVm.Vmm.Confinement;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Assembly;

/// <summary>Makes a virtual machine of its spec: memory, engine, devices and firmware, tied together.</summary>
public static class MachineAssembly
{
    /// <param name="catalogue">Kinds of device; null for those of this build.</param>
    /// <exception cref="InvalidSpecException">The spec has faults.</exception>
    /// <exception cref="EngineUnavailableException">The engine does not work on this host.</exception>
    public static VirtualMachine Assemble(MachineSpec spec, DeviceCatalogue? catalogue = null) => Assemble(spec, null, catalogue);

    /// <param name="known">The processor that a saved guest goes on with.</param>
    internal static VirtualMachine Assemble(MachineSpec spec, CpuDescription? known, DeviceCatalogue? catalogue)
    {
        spec = spec.Expanded(catalogue, out var plan);
        var clock = new VirtualClock();
        var timers = new TimerService(clock, () => InnerWall.Narrow(ThreadRole.Timers));
        var memory = new GuestMemory();
        try
        {
            MemoryLayout.Populate(memory, MemoryLayout.Of(spec, PlatformMap.Direct.LowMemoryEnd));
            var bus = new SystemBus();
            var engine = EngineSelection.Create(spec, memory, bus, timers, known);
            var signals = new MachineSignals();
            var serial = new SerialConsole();
            var parts = new MachineParts
            {
                Memory = memory,
                Bus = bus,
                Timers = timers,
                Interrupts = engine.Interrupts,
                Signals = signals,
                Facts = new MachineFacts(spec.Memory),
            }.With<ICpuEngine>(engine).With<ISerialBackend>(serial);
            var devices = plan.Make(parts);
            var display = devices.All<IDisplay>().FirstOrDefault();
            foreach (var configuration in devices.All<FwCfg>())
            {
                FirmwareConfiguration.Fill(configuration.Items, () => Describe(spec, devices), memory, display is not null, MapOf(devices));
            }

            var framebuffer = display is null ? null : new Framebuffer(memory, display);
            return new VirtualMachine(new Platform
            {
                Spec = spec,
                Memory = memory,
                Clock = clock,
                Timers = timers,
                Bus = bus,
                Devices = devices,
                HotPlug = new HotPlug(catalogue ?? BuiltInDevices.Catalogue, plan, parts, devices, IsHeld),
                Engine = engine,
                Signals = signals,
                Serial = serial,
                Keyboard = devices.All<IKeyboardInput>().FirstOrDefault(),
                Pointer = devices.All<IPointerInput>().FirstOrDefault(),
                Framebuffer = framebuffer,
                DisplayPublisher = framebuffer is null ? null : new DisplayPublisher(framebuffer),
                PowerOn = states => PowerOn(spec, memory, engine, devices, states),
                PowerButton = () => devices.All<IPowerButton>().FirstOrDefault()?.PressPowerButton(),
            });
        }
        catch
        {
            timers.Dispose();
            memory.Dispose();
            throw;
        }
    }

    /// <summary>Viewers and clients look for these once, when the machine is made.</summary>
    private static bool IsHeld(IDevice device) => device is IDisplay or IKeyboardInput or IPointerInput;

    /// <exception cref="BootException">A file cannot be read.</exception>
    private static BootSource ReadBoot(BootSpec boot)
    {
        var kernel = BootFile.Open(boot.Kernel);
        try
        {
            return new()
            {
                Kernel = kernel,
                Modules = boot.Initrd is { } initrd ? [new BootModule(BootFile.Open(initrd))] : [],
                CommandLine = boot.CommandLine,
            };
        }
        catch
        {
            kernel.Dispose();
            throw;
        }
    }

    private static unsafe void PowerOn(MachineSpec spec, GuestMemory memory, ICpuEngine engine, DeviceTree devices, CpuStateBuffer states)
    {
        foreach (var region in memory.AllRegions.Where(region => region.Kind == GuestMemoryKind.Ram))
        {
            memory.Clear(region);
        }

        for (int index = 0; index < states.Count; index++)
        {
            CpuReset.PowerOn(states[index], index == 0, engine.Processor.Vendor);
            BootPlan.ApplyFirmware(states[index]);
        }

        engine.LoadInterruptControllers(VirtualWire.Apply(engine.SaveInterruptControllers()));

        // Read anew at every reset: kernels are large, and resets are rare.
        using var source = spec.Boot is { } boot ? ReadBoot(boot) : throw new InvalidSpecException("/boot", "nothing to boot is given");
        foreach (var device in devices.All<IFirmwareSetUp>())
        {
            device.SetUp();
        }

        var plan = DirectBoot.Prepare(memory, Describe(spec, devices), source, ScreenOf(devices));
        plan.Apply(states[0]);
    }

    /// <summary>The display as a kernel may draw on it from the start; null where there is none, or it is off.</summary>
    private static LinearFramebuffer? ScreenOf(DeviceTree devices) =>
        devices.All<IDisplay>().FirstOrDefault() is { FramebufferAddress: { } address, Mode: { } mode }
            ? new LinearFramebuffer(address, mode.Width, mode.Height, mode.Stride)
            : null;

    private static IAddressMap? MapOf(DeviceTree devices) => devices.All<IAddressMap>().FirstOrDefault();

    private static PlatformDescription Describe(MachineSpec spec, DeviceTree devices) =>
        Describe(spec, devices, MapOf(devices)?.Map ?? PlatformMap.Direct);

    private static PlatformDescription Describe(MachineSpec spec, DeviceTree devices, PlatformMap map) => new()
    {
        Map = map,
        Cpus = Processors(spec),
        Memory = [.. MemoryLayout.Of(spec, map.LowMemoryEnd).Select(range => new PlatformMemory(range.Base, range.Size, range.Node))],
        NodeCount = spec.Numa.Count,
        Distances = Distances(spec),
        Devices = [.. devices.All<IFirmwareVisible>()],
    };

    private static PlatformCpu[] Processors(MachineSpec spec)
    {
        var topology = CpuLayout.Of(spec);
        return [.. Enumerable.Range(0, spec.CpuPlaces)
            .Select(cpu => new PlatformCpu((uint)cpu, topology[cpu].ApicId, NodeOf(spec, cpu), Enabled: cpu < spec.Cpus))];
    }

    private static int NodeOf(MachineSpec spec, int cpu)
    {
        for (int node = 0; node < spec.Numa.Count; node++)
        {
            if (spec.Numa[node].Cpus.Contains(cpu))
            {
                return node;
            }
        }

        return 0;
    }

    private static IReadOnlyList<IReadOnlyList<byte>>? Distances(MachineSpec spec) => spec.Numa.All(node => node.Distances is null)
        ? null
        : [.. spec.Numa.Select((node, from) => node.Distances
            ?? [.. spec.Numa.Select((_, to) => from == to ? PlatformDescription.LocalDistance : PlatformDescription.RemoteDistance)])];
}
