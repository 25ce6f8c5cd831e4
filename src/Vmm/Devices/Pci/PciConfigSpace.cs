using System.Buffers.Binary;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The configuration registers of one function: power-on values, which bits the guest may write, and which it clears by writing ones.
/// Not synchronised.
/// </summary>
internal sealed class PciConfigSpace
{
    /// <summary>Bytes for PCI and for PCI Express (PCI Express Base 5.0 §7.2).</summary>
    public const int ConventionalSize = 256;
    public const int ExpressSize = 4096;

    private readonly byte[] _values = new byte[ExpressSize];
    private readonly byte[] _powerOn = new byte[ExpressSize];
    private readonly byte[] _writable = new byte[ExpressSize];
    private readonly byte[] _clearable = new byte[ExpressSize];
    private int _linkToNext = PciRegister.CapabilityPointer;
    private int _nextCapability = PciRegister.FirstCapability;

    /// <summary>Bytes that exist.</summary>
    public int Size { get; private set; } = ConventionalSize;

    /// <summary>The current value of every register.</summary>
    public ReadOnlySpan<byte> Values => _values.AsSpan(0, Size);

    /// <summary>Sets a register's power-on value and the bits of it that the guest may write.</summary>
    public void Define(int offset, int size, uint value, uint writable = 0, uint clearable = 0)
    {
        for (int i = 0; i < size; i++)
        {
            _powerOn[offset + i] = _values[offset + i] = (byte)(value >> (i * 8));
            _writable[offset + i] = (byte)(writable >> (i * 8));
            _clearable[offset + i] = (byte)(clearable >> (i * 8));
        }
    }

    /// <summary>Appends a capability (PCI Local Bus 3.0 §6.7) and returns its offset; its registers follow the two-byte header.</summary>
    public int AddCapability(byte id, int length)
    {
        int offset = _nextCapability;
        int next = (offset + length + 3) & ~3;
        if (next > ConventionalSize)
        {
            throw new InvalidOperationException("The configuration space has no room for another capability.");
        }

        _nextCapability = next;
        Define(_linkToNext, 1, (uint)offset);
        Define(offset, 2, id);
        _linkToNext = offset + 1;
        Define(PciRegister.Status, 2, (ushort)PciStatus.CapabilityList, clearable: (ushort)PciStatus.Clearable);
        if (id == PciCapabilityId.Express)
        {
            Size = ExpressSize;
        }

        return offset;
    }

    public void Reset() => _powerOn.CopyTo(_values, 0);

    /// <summary>What the guest reads; all ones beyond the end.</summary>
    public uint Read(int offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++)
        {
            int at = offset + i;
            value |= (uint)(at < Size ? _values[at] : 0xff) << (i * 8);
        }

        return value;
    }

    /// <summary>What the guest writes takes effect in the bits that it may change.</summary>
    public void Write(int offset, int size, uint value)
    {
        for (int i = 0; i < size && offset + i < Size; i++)
        {
            int at = offset + i;
            byte data = (byte)(value >> (i * 8));
            _values[at] = (byte)(((_values[at] & ~_writable[at]) | (data & _writable[at])) & ~(data & _clearable[at]));
        }
    }

    /// <summary>Replaces all that a guest may have changed by saved values; what the function is stays.</summary>
    public void Load(ReadOnlySpan<byte> saved)
    {
        for (int at = 0; at < Size; at++)
        {
            int changeable = _writable[at] | _clearable[at];
            _values[at] = (byte)((_powerOn[at] & ~changeable) | (saved[at] & changeable));
        }
    }

    public byte Get8(int offset) => _values[offset];

    public ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_values.AsSpan(offset));

    public uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_values.AsSpan(offset));

    public void Set8(int offset, byte value) => _values[offset] = value;

    public void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_values.AsSpan(offset), value);

    public void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_values.AsSpan(offset), value);
}
