using System.Buffers.Binary;
using System.Numerics;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// MSI-X (PCI Local Bus 3.0 §6.8.2): a table of messages and a pending bit array, both in a BAR of their own, 4096 bytes or more:
/// table first, pending bits in the second half.
/// </summary>
internal sealed class MsiXCapability : PciCapability, IMmioHandler
{
    private const int Length = 12;
    public const int MaximumVectors = 2048;
    private const int EntrySize = 16;
    private const int Control = 2;
    private const int Table = 4;
    private const int PendingBits = 8;
    private const ushort Enable = 1 << 15;
    private const ushort FunctionMask = 1 << 14;
    private const uint Masked = 1;

    private readonly Action _unmasked;
    private readonly int _vectors;
    private readonly int _bar;
    private readonly byte[] _table;
    private readonly ulong[] _pending;

    /// <param name="unmasked">Called, without the lock, after the guest changed the table.</param>
    public MsiXCapability(int vectors, int bar, Action unmasked)
        : base(PciCapabilityId.MsiX, Length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vectors, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectors, MaximumVectors);
        _vectors = vectors;
        _bar = bar;
        _unmasked = unmasked;
        _table = new byte[vectors * EntrySize];
        _pending = new ulong[(vectors + 63) / 64];
        BarSize = BitOperations.RoundUpToPowerOf2((uint)Math.Max(4096, _table.Length * 2));
        MaskAll();
    }

    /// <summary>Bytes of the BAR that holds table and pending bits.</summary>
    public ulong BarSize { get; }

    public bool Enabled => (Config.Get16(Offset + Control) & Enable) != 0;

    private bool WholeFunctionMasked => (Config.Get16(Offset + Control) & FunctionMask) != 0;

    public override void Reset() => MaskAll();

    protected override void Define()
    {
        Config.Define(Offset + Control, 2, (uint)(_vectors - 1), writable: Enable | FunctionMask);
        Config.Define(Offset + Table, 4, (uint)_bar);
        Config.Define(Offset + PendingBits, 4, (uint)(BarSize / 2) | (uint)_bar);
    }

    private void MaskAll()
    {
        Array.Clear(_table);
        Array.Clear(_pending);
        for (int vector = 0; vector < _vectors; vector++)
        {
            VectorControl(vector) = (byte)Masked;
        }
    }

    /// <summary>The message to send for the vector now, or null: it is masked and stays pending, or MSI-X is off.</summary>
    /// <param name="hold">It stays pending as well.</param>
    public MsiMessage? Raise(int vector, bool hold)
    {
        if (!Enabled || (uint)vector >= (uint)_vectors)
        {
            return null;
        }

        if (hold || WholeFunctionMasked || (VectorControl(vector) & Masked) != 0)
        {
            _pending[vector >> 6] |= 1UL << (vector & 63);
            return null;
        }

        var entry = _table.AsSpan(vector * EntrySize, EntrySize);
        return new MsiMessage(BinaryPrimitives.ReadUInt64LittleEndian(entry) & ~3UL, BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]));
    }

    /// <summary>A vector that is pending and may be sent, cleared; or -1.</summary>
    public int TakePending()
    {
        if (!Enabled || WholeFunctionMasked)
        {
            return -1;
        }

        for (int word = 0; word < _pending.Length; word++)
        {
            for (ulong bits = _pending[word]; bits != 0; bits &= bits - 1)
            {
                int vector = (word * 64) + BitOperations.TrailingZeroCount(bits);
                if ((VectorControl(vector) & Masked) == 0)
                {
                    _pending[word] &= ~(1UL << (vector & 63));
                    return vector;
                }
            }
        }

        return -1;
    }

    public ulong ReadMmio(ulong offset, int size)
    {
        lock (Registers)
        {
            ulong value = 0;
            for (int i = 0; i < size; i++)
            {
                value |= (ulong)ReadByte(offset + (ulong)i) << (i * 8);
            }

            return value;
        }
    }

    public void WriteMmio(ulong offset, int size, ulong value)
    {
        // Only aligned double and quad words are defined (§6.8.2); others have no effect.
        if (size < 4 || offset % (ulong)size != 0 || offset + (ulong)size > (ulong)_table.Length)
        {
            return;
        }

        lock (Registers)
        {
            for (int i = 0; i < size; i++)
            {
                _table[(int)offset + i] = (byte)(value >> (i * 8));
            }

            for (int vector = (int)offset / EntrySize, last = ((int)offset + size - 1) / EntrySize; vector <= last; vector++)
            {
                VectorControl(vector) &= (byte)Masked;
                _table.AsSpan((vector * EntrySize) + 13, 3).Clear();
            }
        }

        _unmasked();
    }

    public MsiXState Save() => new([.. _table], [.. _pending]);

    /// <exception cref="InvalidDataException">Another number of vectors.</exception>
    public void Validate(MsiXState state)
    {
        if (state.Table.Length != _table.Length || state.Pending.Length != _pending.Length)
        {
            throw new InvalidDataException("The saved MSI-X table has another size than the function's.");
        }
    }

    public void Load(MsiXState state)
    {
        state.Table.CopyTo(_table, 0);
        state.Pending.CopyTo(_pending, 0);
        if (_vectors % 64 != 0)
        {
            _pending[^1] &= (1UL << (_vectors % 64)) - 1;
        }
    }

    private ref byte VectorControl(int vector) => ref _table[(vector * EntrySize) + 12];

    private byte ReadByte(ulong offset)
    {
        if (offset < (ulong)_table.Length)
        {
            return _table[(int)offset];
        }

        ulong bit = offset - (BarSize / 2);
        return offset >= BarSize / 2 && bit < (ulong)_pending.Length * 8 ? (byte)(_pending[bit / 8] >> (int)(bit % 8 * 8)) : (byte)0;
    }
}

/// <summary>Saved MSI-X table (16 bytes a vector) and pending bits.</summary>
public sealed record MsiXState(byte[] Table, ulong[] Pending);
