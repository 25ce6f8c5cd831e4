using System.Collections.Concurrent;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Devices.Doubles;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Devices.Hostile;

/// <summary>Every device of the machine, as the machine puts them together, on a bus that tests drive instead of vCPUs.</summary>
internal sealed class WholePlatform : IDisposable
{
    public const ulong RamSize = 4 << 20;

    /// <summary>Devices that the profile has not.</summary>
    private static readonly DeviceSpec[] s_notInPc =
    [
        new("port0", "pcie.root-port") { At = "pci:04.0" },
        new DeviceSpec("port1", "pcie.root-port") { At = "pci:04.1" }.WithSettings("""{"hotPlug":false}"""),
        new("port2", "pcie.root-port") { At = "pci:05.0" },
    ];

    private readonly TimerService _timers;
    private readonly SoftEngine _engine;
    private readonly ConcurrentQueue<string> _faults = new();

    public WholePlatform(string chipset = "generic")
    {
        _timers = new TimerService(Clock);
        if (!Memory.TryMap(Memory.CreateRegion("ram", GuestMemoryKind.Ram, RamSize), new GuestPhysicalAddress(0)))
        {
            throw new InvalidOperationException("RAM cannot be mapped.");
        }

        _engine = new SoftEngine(Memory, Bus, _timers);
        _engine.CreateVcpu(0, CpuPlace.Alone);
        var spec = new MachineSpec { Memory = RamSize, Hpet = true, Display = new DisplaySpec(),
            Devices = [.. Profile.Pc.Select(
                device => device.Kind == "pci.host-bridge" ? device.WithSettings($$"""{"chipset":"{{chipset}}"}""") : device),
                .. s_notInPc] };
        spec.Expanded(null, out var plan);
        Plan = plan;
        Parts = new MachineParts
        {
            Memory = Memory,
            Bus = Bus,
            Timers = _timers,
            Interrupts = _engine.Interrupts,
            Signals = Signals,
            Facts = new MachineFacts(RamSize),
        }.With<ICpuEngine>(_engine).With<ISerialBackend>(Serial);
        Tree = Plan.Make(Parts);
        Bridge = (PciHostBridge)Tree.Find("pci")!.Device;
        AddWhatTheMachineDoesNotHave();
        Tree.DeviceFailed += failure => _faults.Enqueue($"{failure} {failure.Cause}");
        Bus.Faulted += (window, exception) => _faults.Enqueue($"{window}: {exception}");
        PowerUp();
        Tree.Start();
        Clock.Start();
    }

    public GuestMemory Memory { get; } = new();

    public SystemBus Bus { get; } = new();

    public VirtualClock Clock { get; } = new();

    public RecordingSignals Signals { get; } = new();

    public SerialConsole Serial { get; } = new();

    /// <summary>The devices that the machine itself has.</summary>
    public DevicePlan Plan { get; }

    public MachineParts Parts { get; }

    public DeviceTree Tree { get; }

    public PciHostBridge Bridge { get; }

    /// <summary>What devices threw, if anything.</summary>
    public IReadOnlyCollection<string> Faults => _faults;

    public T Device<T>()
        where T : class, IDevice => Tree.Nodes.Select(node => node.Device).OfType<T>().Single();

    public void PowerUp()
    {
        Tree.PowerUp();
        Bridge.SetUp();
    }

    public void Dispose()
    {
        Clock.Stop();
        Tree.Dispose();
        _engine.Dispose();
        _timers.Dispose();
        Memory.Dispose();
    }

    private void AddWhatTheMachineDoesNotHave()
    {
        // A device with every kind of BAR and of interrupt, as the machine has none yet.
        var everything = new TestPciDevice("everything", Memory, msix: 8);
        Tree.Add(everything, [Bridge.Name], [Bridge]);
        Bridge.Attach(everything, new PciSlot(9, 0).Number);
        foreach (var port in Tree.All<PcieRootPort>().Take(2).ToArray())
        {
            var behind = new TestPciDevice($"behind-{port.Name}", Memory, msix: 4);
            behind.Function.AddPowerManagement();
            port.Attach(behind, 0);
            Tree.Add(behind, [port.Name], [port]);
        }
    }
}
