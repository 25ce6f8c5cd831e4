using WebVm.Vmm.Confinement;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Boot;
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
    /// <exception cref="InvalidSpecException">The spec has faults.</exception>
    /// <exception cref="EngineUnavailableException">The engine does not work on this host.</exception>
    public static VirtualMachine Assemble(MachineSpec spec) => Assemble(spec, null);

    /// <param name="known">The processor that a saved guest goes on with.</param>
    internal static VirtualMachine Assemble(MachineSpec spec, CpuDescription? known)
    {
        spec = spec.Validated();
        var clock = new VirtualClock();
        var timers = new TimerService(clock, () => InnerWall.Narrow(ThreadRole.Timers));
        var memory = new GuestMemory();
        try
        {
            MemoryLayout.Populate(memory, MemoryLayout.Of(spec));
            var bus = new SystemBus();
            var engine = EngineSelection.Create(spec, memory, bus, timers, known);
            var signals = new MachineSignals();
            var serial = new SerialConsole();
            var devices = StandardDevices.Create(spec, memory, bus, engine, timers, signals, serial);
            FirmwareConfiguration.Fill(devices.Configuration, Describe(spec), MemoryMap.Of(memory, []));
            var framebuffer = devices.Display is { } display ? new Framebuffer(memory, display) : null;
            return new VirtualMachine(new Platform
            {
                Spec = spec,
                Memory = memory,
                Clock = clock,
                Timers = timers,
                Bus = bus,
                Devices = devices.Tree,
                Engine = engine,
                Signals = signals,
                Serial = serial,
                Keyboard = devices.Input,
                Pointer = devices.Input,
                Framebuffer = framebuffer,
                DisplayPublisher = framebuffer is null ? null : new DisplayPublisher(framebuffer),
                PowerOn = states => PowerOn(spec, memory, engine, devices, states),
                PowerButton = devices.PowerManagement.PressPowerButton,
            });
        }
        catch
        {
            timers.Dispose();
            memory.Dispose();
            throw;
        }
    }

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

    private static unsafe void PowerOn(MachineSpec spec, GuestMemory memory, ICpuEngine engine, StandardDevices devices, CpuStateBuffer states)
    {
        foreach (var region in memory.Regions.Where(region => region.Kind == GuestMemoryKind.Ram))
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
        var plan = DirectBoot.Prepare(memory, Describe(spec), source, devices.PrepareForBoot(memory));
        plan.Apply(states[0]);
    }

    internal static PlatformDescription Describe(MachineSpec spec) => new()
    {
        Cpus = Processors(spec),
        Memory = [.. MemoryLayout.Of(spec).Select(range => new PlatformMemory(range.Base, range.Size, range.Node))],
        NodeCount = spec.Numa.Count,
        Distances = Distances(spec),
        Hpet = spec.Hpet,
        SerialPorts = [new(PlatformMap.Com1, PlatformMap.Com1Gsi)],
    };

    private static PlatformCpu[] Processors(MachineSpec spec)
    {
        var topology = CpuLayout.Of(spec);
        return [.. Enumerable.Range(0, spec.Cpus).Select(cpu => new PlatformCpu((uint)cpu, topology[cpu].ApicId, NodeOf(spec, cpu)))];
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
