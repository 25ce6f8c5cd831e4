namespace WebVm.Vmm.Devices.Pci;

/// <summary>Device and function number on one bus: 5 and 3 bits (PCI Local Bus 3.0 §3.2.2.3.4).</summary>
public readonly record struct PciSlot
{
    public const int Devices = 32;
    public const int Functions = 8;
    public const int Count = Devices * Functions;

    public PciSlot(int device, int function)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 31u, nameof(device));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)function, 7u, nameof(function));
        Number = (byte)((device << 3) | function);
    }

    /// <summary>"devfn".</summary>
    public byte Number { get; }

    public int Device => Number >> 3;

    public int Function => Number & 7;

    public static PciSlot FromNumber(byte number) => new(number >> 3, number & 7);

    public override string ToString() => $"{Device:x2}.{Function}";
}
