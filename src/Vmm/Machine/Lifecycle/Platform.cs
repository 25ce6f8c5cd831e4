using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>The assembled parts of one machine, owned together.</summary>
internal sealed class Platform : IDisposable
{
    /// <summary>What the machine is, with the devices that it has now.</summary>
    public required MachineSpec Spec { get; set; }

    public required GuestMemory Memory { get; init; }

    public required VirtualClock Clock { get; init; }

    public required IDisposable Timers { get; init; }

    public required SystemBus Bus { get; init; }

    public required DeviceTree Devices { get; init; }

    /// <summary>Brings devices and takes them away while the machine runs; null for one whose devices are made by hand.</summary>
    public HotPlug? HotPlug { get; init; }

    /// <summary>The devices, those that were plugged while the machine ran included. Changed on the machine's thread.</summary>
    public IReadOnlyList<DeviceSpec> DeviceList
    {
        get => Spec.Devices ?? [];
        set => Spec = Spec with { Devices = value };
    }

    public required ICpuEngine Engine { get; init; }

    public required MachineSignals Signals { get; init; }

    /// <summary>The far end of COM1.</summary>
    public required SerialConsole Serial { get; init; }

    public IKeyboardInput? Keyboard { get; init; }

    public IPointerInput? Pointer { get; init; }

    /// <summary>The host's view of the display; null without one.</summary>
    public Framebuffer? Framebuffer { get; init; }

    public DisplayPublisher? DisplayPublisher { get; init; }

    /// <summary>
    /// What firmware does at power-on and reset: sets up interrupt controllers, fills (zeroed) guest memory and the vCPUs' states.
    /// </summary>
    public required Action<CpuStateBuffer> PowerOn { get; init; }

    /// <summary>Presses the power button.</summary>
    public Action PowerButton { get; init; } = () => { };

    public void Dispose()
    {
        DisplayPublisher?.Dispose();
        Framebuffer?.Dispose();
        Devices.Dispose();
        Engine.Dispose();
        Timers.Dispose();
        Memory.Dispose();
    }
}
