using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.IoInterrupts;
using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Power.FixedHardware;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Devices.Serial.Uart;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Benchmarks;

/// <summary>From a vCPU's access to the device's register and back, without the exit that leads there.</summary>
internal sealed class BusBenchmark : IBenchmark
{
    private const int Operations = 1_000_000;

    public string Name => "bus";

    public IEnumerable<Measurement> Run()
    {
        var clock = new VirtualClock();
        using var timers = new TimerService(clock);
        using var memory = new GuestMemory();
        var bus = new SystemBus();
        using var engine = new SoftEngine(memory, bus, timers);
        engine.CreateVcpu(0, CpuPlace.Alone);
        new MachineSpec { Display = new DisplaySpec() }.Expanded(null, out var plan);
        using var tree = plan.Make(new MachineParts
        {
            Memory = memory,
            Bus = bus,
            Timers = timers,
            Interrupts = engine.Interrupts,
            Signals = new Deaf(),
            Facts = new MachineFacts(0),
        }.With<ICpuEngine>(engine).With<ISerialBackend>(new SerialConsole()));
        tree.PowerUp();
        tree.Start();

        (string What, Action<int> Loop)[] accesses =
        [
            ("port read, UART line status", count => Ports(count, ComPorts.Com1 + 5, 1)),
            ("port read, ACPI timer", count => Ports(count, AcpiPorts.Timer, 4)),
            ("port write, nobody there (0x80)", count =>
            {
                for (int i = 0; i < count; i++)
                {
                    bus.WritePort(0x80, 1, 0);
                }
            }),
            ("MMIO read, I/O APIC", count => Mmio(count, IoApicWindow.Base, 4, 0)),
            ("MMIO read, PCI configuration by ECAM", count => Mmio(count, PlatformMap.Direct.Ecam!.Base, 4, 0)),
            ("MMIO read, two devices in turn", count => Mmio(
                count, PlatformMap.Direct.Ecam!.Base, 4, IoApicWindow.Base ^ PlatformMap.Direct.Ecam!.Base)),
            ("MMIO read, nobody there", count => Mmio(count, PlatformMap.Direct.Memory64.First, 1, 0)),
        ];
        foreach (var (what, loop) in accesses)
        {
            var (nanoseconds, bytes) = Timing.Measure(Operations, loop);
            yield return new Measurement(what, nanoseconds, "ns", bytes == 0 ? "0 B/op" : $"{bytes} B/op");
        }

        void Ports(int count, int port, int size)
        {
            for (int i = 0; i < count; i++)
            {
                bus.ReadPort((ushort)port, size);
            }
        }

        void Mmio(int count, ulong address, int size, ulong alternate)
        {
            for (int i = 0; i < count; i++)
            {
                bus.ReadMmio(new GuestPhysicalAddress(address), size);
                address ^= alternate;
            }
        }
    }

    private sealed class Deaf : IMachineSignals
    {
        public void PowerOff()
        {
        }

        public void Reset(ResetKind kind)
        {
        }

        public void Sleep(SleepState state)
        {
        }

        public void GuestPanicked(PanicKind kind)
        {
        }

        public void DebugExit(int code)
        {
        }
    }
}
