using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>What a machine's devices are made with: the machine's own parts, and the wires between devices.</summary>
public sealed class MachineParts
{
    private readonly Dictionary<Type, object> _others = [];
    private readonly Dictionary<int, InterruptLine> _lines = [];

    public required GuestMemory Memory { get; init; }

    public required SystemBus Bus { get; init; }

    public required ITimerService Timers { get; init; }

    public required IInterruptRouter Interrupts { get; init; }

    public required IMachineSignals Signals { get; init; }

    public required MachineFacts Facts { get; init; }

    /// <summary>Adds a part by its contract: the far end of a line, a back end, the engine.</summary>
    public MachineParts With<T>(T part)
        where T : class
    {
        _others.Add(typeof(T), part);
        return this;
    }

    public T? Find<T>()
        where T : class => (T?)_others.GetValueOrDefault(typeof(T));

    /// <summary>The line of a global system interrupt, which its devices share.</summary>
    public InterruptLine Line(int gsi) => _lines.TryGetValue(gsi, out var line) ? line : _lines[gsi] = new InterruptLine(Interrupts, gsi);

    /// <summary>What connects devices of which none owns it; there from the first who asks on.</summary>
    public T Wire<T>()
        where T : class, new()
    {
        if (_others.GetValueOrDefault(typeof(T)) is T wire)
        {
            return wire;
        }

        wire = new T();
        _others.Add(typeof(T), wire);
        return wire;
    }
}
