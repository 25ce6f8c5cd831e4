using System.Numerics;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// Message signalled interrupts with 64-bit address and per-vector masks (PCI Local Bus 3.0 §6.8.1). The function's lock protects it.
/// </summary>
internal sealed class MsiCapability : PciCapability
{
    private const int Length = 24;
    private const int Control = 2;
    private const int AddressLow = 4;
    private const int AddressHigh = 8;
    private const int Data = 12;
    private const int Mask = 16;
    private const int Pending = 20;
    private const ushort Enable = 1 << 0;
    private const ushort Is64Bit = 1 << 7;
    private const ushort HasMasks = 1 << 8;

    private readonly int _vectors;

    /// <param name="vectors">1 to 32, a power of two.</param>
    public MsiCapability(int vectors)
        : base(PciCapabilityId.Msi, Length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vectors, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectors, 32);
        ArgumentOutOfRangeException.ThrowIfZero(BitOperations.IsPow2(vectors) ? 1 : 0, nameof(vectors));
        _vectors = vectors;
    }

    public bool Enabled => (Config.Get16(Offset + Control) & Enable) != 0;

    /// <summary>The message to send for the vector now, or null: it is masked and stays pending, or MSI is off.</summary>
    /// <param name="hold">It stays pending as well.</param>
    public MsiMessage? Raise(int vector, bool hold)
    {
        if (!Enabled || (uint)vector >= (uint)_vectors)
        {
            return null;
        }

        int granted = Math.Min(1 << ((Config.Get16(Offset + Control) >> 4) & 7), _vectors);
        // With fewer vectors granted than asked for, the function shares them (§6.8.3.4).
        vector &= granted - 1;
        if (hold || (Config.Get32(Offset + Mask) & (1u << vector)) != 0)
        {
            Config.Set32(Offset + Pending, Config.Get32(Offset + Pending) | (1u << vector));
            return null;
        }

        ulong address = Config.Get32(Offset + AddressLow) | ((ulong)Config.Get32(Offset + AddressHigh) << 32);
        return new MsiMessage(address, (uint)((Config.Get16(Offset + Data) & ~(granted - 1)) | vector));
    }

    /// <summary>A vector that is pending and may be sent, cleared; or -1.</summary>
    public int TakePending()
    {
        uint ready = Enabled ? Config.Get32(Offset + Pending) & ~Config.Get32(Offset + Mask) : 0;
        if (ready == 0)
        {
            return -1;
        }

        int vector = BitOperations.TrailingZeroCount(ready);
        Config.Set32(Offset + Pending, Config.Get32(Offset + Pending) & ~(1u << vector));
        return vector;
    }

    /// <summary>Pending bits, for the saved state: the guest cannot write them.</summary>
    public uint PendingBits
    {
        get => Config.Get32(Offset + Pending);
        set => Config.Set32(Offset + Pending, value);
    }

    protected override void Define()
    {
        Config.Define(
            Offset + Control, 2, (uint)(Is64Bit | HasMasks | (BitOperations.Log2((uint)_vectors) << 1)), writable: Enable | (7 << 4));
        Config.Define(Offset + AddressLow, 4, 0, writable: 0xffff_fffc);
        Config.Define(Offset + AddressHigh, 4, 0, writable: 0xffff_ffff);
        Config.Define(Offset + Data, 2, 0, writable: 0xffff);
        Config.Define(Offset + Mask, 4, 0, writable: _vectors == 32 ? uint.MaxValue : (1u << _vectors) - 1);
    }
}
