using System.Numerics;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>Message signalled interrupts with 64-bit address and per-vector masks (PCI Local Bus 3.0 §6.8.1). The function's lock protects it.</summary>
internal sealed class MsiCapability
{
    public const int Length = 24;
    private const int Control = 2;
    private const int AddressLow = 4;
    private const int AddressHigh = 8;
    private const int Data = 12;
    private const int Mask = 16;
    private const int Pending = 20;
    private const ushort Enable = 1 << 0;
    private const ushort Is64Bit = 1 << 7;
    private const ushort HasMasks = 1 << 8;

    private readonly PciConfigSpace _config;
    private readonly int _offset;
    private readonly int _vectors;

    /// <param name="vectors">1 to 32, a power of two.</param>
    public MsiCapability(PciConfigSpace config, int vectors)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vectors, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectors, 32);
        ArgumentOutOfRangeException.ThrowIfZero(BitOperations.IsPow2(vectors) ? 1 : 0, nameof(vectors));
        _config = config;
        _vectors = vectors;
        _offset = config.AddCapability(PciCapabilityId.Msi, Length);
        config.Define(_offset + Control, 2, (uint)(Is64Bit | HasMasks | (BitOperations.Log2((uint)vectors) << 1)), writable: Enable | (7 << 4));
        config.Define(_offset + AddressLow, 4, 0, writable: 0xffff_fffc);
        config.Define(_offset + AddressHigh, 4, 0, writable: 0xffff_ffff);
        config.Define(_offset + Data, 2, 0, writable: 0xffff);
        config.Define(_offset + Mask, 4, 0, writable: vectors == 32 ? uint.MaxValue : (1u << vectors) - 1);
    }

    public bool Enabled => (_config.Get16(_offset + Control) & Enable) != 0;

    public bool Covers(int offset, int size) => offset < _offset + Length && _offset < offset + size;

    /// <summary>The message to send for the vector now, or null: it is masked and stays pending, or MSI is off.</summary>
    /// <param name="hold">It stays pending as well.</param>
    public MsiMessage? Raise(int vector, bool hold)
    {
        if (!Enabled || (uint)vector >= (uint)_vectors)
        {
            return null;
        }

        int granted = Math.Min(1 << ((_config.Get16(_offset + Control) >> 4) & 7), _vectors);
        // With fewer vectors granted than asked for, the function shares them (§6.8.3.4).
        vector &= granted - 1;
        if (hold || (_config.Get32(_offset + Mask) & (1u << vector)) != 0)
        {
            _config.Set32(_offset + Pending, _config.Get32(_offset + Pending) | (1u << vector));
            return null;
        }

        ulong address = _config.Get32(_offset + AddressLow) | ((ulong)_config.Get32(_offset + AddressHigh) << 32);
        return new MsiMessage(address, (uint)((_config.Get16(_offset + Data) & ~(granted - 1)) | vector));
    }

    /// <summary>A vector that is pending and may be sent, cleared; or -1.</summary>
    public int TakePending()
    {
        uint ready = Enabled ? _config.Get32(_offset + Pending) & ~_config.Get32(_offset + Mask) : 0;
        if (ready == 0)
        {
            return -1;
        }

        int vector = BitOperations.TrailingZeroCount(ready);
        _config.Set32(_offset + Pending, _config.Get32(_offset + Pending) & ~(1u << vector));
        return vector;
    }

    /// <summary>Pending bits, for the saved state: the guest cannot write them.</summary>
    public uint PendingBits
    {
        get => _config.Get32(_offset + Pending);
        set => _config.Set32(_offset + Pending, value);
    }
}
