using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>What a device is made with: its name, its place, and the machine around it.</summary>
public sealed class DeviceSite(string id, DevicePlace at, MachineParts machine)
{
    /// <summary>The device's name.</summary>
    public string Id { get; } = id;

    /// <summary>The device's place; the default value for a kind that has one place.</summary>
    public DevicePlace At { get; } = at;

    /// <summary>What the device holds that goes with it.</summary>
    internal DeviceResources Resources { get; } = new(machine.Timers, machine.Memory);

    public GuestMemory Memory => machine.Memory;

    /// <summary>The guest's memory as this device reaches it.</summary>
    public DmaSpace Dma { get; } = new(machine.Memory);

    public SystemBus Bus => machine.Bus;

    public ITimerService Timers => Resources;

    public IInterruptRouter Interrupts => machine.Interrupts;

    public IMachineSignals Signals => machine.Signals;

    public MachineFacts Facts => machine.Facts;

    /// <inheritdoc cref="MachineParts.Line"/>
    public InterruptLine Line(int gsi) => machine.Line(gsi);

    /// <inheritdoc cref="MachineParts.Wire"/>
    public T Wire<T>()
        where T : class, new() => machine.Wire<T>();

    /// <summary>A part of the machine that the device cannot do without.</summary>
    /// <exception cref="InvalidOperationException">The machine has none.</exception>
    public T Part<T>()
        where T : class =>
            machine.Find<T>()
                ?? throw new InvalidOperationException($"Device '{Id}' needs a {typeof(T).Name}, which its machine does not have.");
}
