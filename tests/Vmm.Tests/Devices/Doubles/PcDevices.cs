using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>The devices of a PC for tests of what firmware says of them: made once, and given back.</summary>
internal static class PcDevices
{
    /// <param name="hpet">With event timers.</param>
    /// <param name="serialPorts">1 or 2.</param>
    public static IReadOnlyList<IFirmwareVisible> Create(bool hpet = false, int serialPorts = 1) =>
        Create(new MachineSpec { Hpet = hpet, Devices = serialPorts == 2
            ? [.. Profile.Pc, new DeviceSpec("uart1", "serial.16550")]
            : null });

    public static IReadOnlyList<IFirmwareVisible> Create(MachineSpec spec)
    {
        var clock = new VirtualClock();
        using var timers = new TimerService(clock);
        using var memory = new GuestMemory();
        var bus = new SystemBus();
        using var engine = new SoftEngine(memory, bus, timers);
        spec.Expanded(null, out var plan);
        using var tree = plan.Make(new MachineParts
        {
            Memory = memory,
            Bus = bus,
            Timers = timers,
            Interrupts = engine.Interrupts,
            Signals = new RecordingSignals(),
            Facts = new MachineFacts(0),
        }.With<ICpuEngine>(engine).With<ISerialBackend>(new SerialConsole()));
        return [.. tree.All<IFirmwareVisible>()];
    }
}
