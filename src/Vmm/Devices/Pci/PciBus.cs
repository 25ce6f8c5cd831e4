using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// One PCI bus: up to 32 devices with up to 8 functions, of which some may be bridges to further buses. Functions are added when the
/// machine is put together or when plugged in. Which functions are behind which bridge is fixed; under which numbers, the guest says.
/// </summary>
public sealed class PciBus
{
    private readonly PciFunction?[] _functions = new PciFunction?[PciSlot.Count];
    private readonly Lock _lock = new();
    private readonly PciWiring? _wiring;

    private int _count;

    /// <summary>The functions that are bridges, by slot. Replaced as a whole.</summary>
    private PciBridge[] _bridges = [];

    /// <summary>The bus of the root complex.</summary>
    internal PciBus(PciWiring wiring) => _wiring = wiring;

    /// <summary>The bus behind a bridge; it is a link, which has one device, with number 0 (PCI Express Base 5.0 §7.3.1).</summary>
    internal PciBus(PciBridge parent) => Parent = parent;

    /// <summary>0 for the root complex, else what the guest has written into the bridge.</summary>
    public byte Number => Parent?.SecondaryNumber ?? 0;

    /// <summary>The functions present, by slot.</summary>
    public IEnumerable<(PciSlot Slot, PciFunction Function)> Functions
    {
        get
        {
            for (int number = 0; number < PciSlot.Count; number++)
            {
                if (Volatile.Read(ref _functions[number]) is { } function)
                {
                    yield return (PciSlot.FromNumber((byte)number), function);
                }
            }
        }
    }

    /// <summary>Functions of this bus and of all behind it.</summary>
    public IEnumerable<PciFunction> AllFunctions => Functions.SelectMany(entry =>
        entry.Function.Bridge is { } bridge ? bridge.SecondaryBus.AllFunctions.Prepend(entry.Function) : [entry.Function]);

    internal bool IsEmpty => Volatile.Read(ref _count) == 0;

    /// <summary>The bridge that leads here; null for the root complex.</summary>
    internal PciBridge? Parent { get; }

    internal PciWiring Wiring =>
        _wiring ?? Parent!.Function.Bus?.Wiring ?? throw new InvalidOperationException("The bridge to this bus is on no bus.");

    /// <summary>All bridges on the way up let requests of devices through (§7.5.1.1.3).</summary>
    internal bool MayMaster => Parent is not { } bridge || (bridge.IsOpen && bridge.Function.BusMaster);

    /// <summary>"Bus, device, function" as messages and requests carry it.</summary>
    public ushort RequesterOf(PciSlot slot) => (ushort)((Number << 8) | slot.Number);

    /// <summary>The global system interrupt that a pin comes to (INTA# is 1), rotated at each bridge.</summary>
    public int GsiOf(PciSlot slot, int pin) =>
        Parent is { Function: var bridge }
            ? bridge.Bus!.GsiOf(bridge.Slot, PciInterrupts.Swizzle(slot, pin))
            : PciInterrupts.GsiOf(slot, pin);

    /// <summary>
    /// The function that a configuration request comes to, as the guest has numbered the buses; null where nobody answers.
    /// </summary>
    internal PciFunction? Route(int bus, byte slot)
    {
        var at = this;
        // Down a tree of devices, which no numbers turn into a loop.
        while (bus != at.Number)
        {
            PciBridge? way = null;
            foreach (var bridge in Volatile.Read(ref at._bridges))
            {
                if (bridge.Claims(bus))
                {
                    way = bridge;
                    break;
                }
            }

            if (way is null)
            {
                return null;
            }

            at = way.SecondaryBus;
        }

        return at.Find(slot);
    }

    /// <summary>All bridges on the way down forward the addresses.</summary>
    internal bool Forwards(PciBarKind kind, ulong address, ulong size)
    {
        for (var bridge = Parent; bridge is not null; bridge = bridge.Function.Bus?.Parent)
        {
            if (!bridge.Forwards(kind, address, size))
            {
                return false;
            }
        }

        return true;
    }

    /// <exception cref="ArgumentException">The slot is taken, or there is none such.</exception>
    internal void Add(PciSlot slot, PciFunction function)
    {
        lock (_lock)
        {
            if (_functions[slot.Number] is not null)
            {
                throw new ArgumentException($"PCI slot {slot} is taken.", nameof(slot));
            }

            if (Parent is not null && slot.Device != 0)
            {
                throw new ArgumentException($"There is no PCI slot {slot} behind a port.", nameof(slot));
            }

            function.Attach(this, slot);
            Volatile.Write(ref _functions[slot.Number], function);
            Count();
            // Software only looks for other functions if function 0 says that there are some (PCI Local Bus 3.0 §6.2.1).
            if (slot.Function != 0)
            {
                _functions[slot.Number & ~7]?.SetMultiFunction();
            }
            else if (Enumerable.Range(1, 7).Any(other => _functions[slot.Number + other] is not null))
            {
                function.SetMultiFunction();
            }
        }
    }

    internal void Attach(IDevice device, ulong place) => Add(
        PciSlot.FromNumber((byte)place),
        device is IPciDevice { Function: var function }
            ? function
            : throw new ArgumentException($"Device '{device.Name}' is no PCI function.", nameof(device)));

    /// <summary>Frees the slot of a device that is gone.</summary>
    /// <returns>False for a device that is not on this bus.</returns>
    internal bool Remove(IDevice device)
    {
        if (FunctionOf(device) is not { } function)
        {
            return false;
        }

        lock (_lock)
        {
            int at = Array.IndexOf(_functions, function);
            if (at >= 0)
            {
                Volatile.Write(ref _functions[at], null);
                Count();
                function.Detach();
            }
        }

        return true;
    }

    internal bool Has(IDevice device) => FunctionOf(device) is not null;

    internal void Connect(IDevice device) => FunctionOf(device)?.Connect(device.Name);

    internal void Disconnect(IDevice device) => FunctionOf(device)?.Disconnect();

    internal void Sleep(IDevice device) => FunctionOf(device)?.Sleep();

    internal void Wake(IDevice device) => FunctionOf(device)?.Wake();

    private PciFunction? FunctionOf(IDevice device) =>
        device is IPciDevice { Function: var function } && function.Bus == this ? function : null;

    /// <summary>
    /// The function in the slot that the guest can see now. One that is being reset does not answer, for which a guest waits (PCI Express
    /// Base 5.0 §6.6.1).
    /// </summary>
    private PciFunction? Find(byte slot) => Volatile.Read(ref _functions[slot]) is { Answers: true } function ? function : null;

    private void Count()
    {
        Volatile.Write(ref _count, _functions.Count(function => function is not null));
        Volatile.Write(ref _bridges, [.. _functions.Select(function => function?.Bridge).OfType<PciBridge>()]);
    }
}
