namespace WebVm.Vmm.Devices.Pci;

/// <summary>One PCI bus: up to 32 devices with up to 8 functions. Functions are added when the machine is put together or when plugged in.</summary>
public sealed class PciBus(byte number = 0)
{
    private readonly PciFunction?[] _functions = new PciFunction?[PciSlot.Count];
    private readonly Lock _lock = new();

    public byte Number { get; } = number;

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

    /// <summary>"Bus, device, function" as messages and requests carry it.</summary>
    public ushort RequesterOf(PciSlot slot) => (ushort)((Number << 8) | slot.Number);

    /// <summary>The function in the slot that the guest can see now.</summary>
    internal PciFunction? Find(byte slot) => Volatile.Read(ref _functions[slot]) is { Connected: true } function ? function : null;

    internal void Add(PciSlot slot, PciFunction function)
    {
        lock (_lock)
        {
            if (_functions[slot.Number] is not null)
            {
                throw new ArgumentException($"PCI slot {slot} is taken.", nameof(slot));
            }

            _functions[slot.Number] = function;
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

    internal void Remove(PciFunction function)
    {
        lock (_lock)
        {
            int at = Array.IndexOf(_functions, function);
            if (at >= 0)
            {
                Volatile.Write(ref _functions[at], null);
            }
        }
    }
}
