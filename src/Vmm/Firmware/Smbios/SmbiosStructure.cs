using System.Buffers.Binary;
using System.Text;

namespace WebVm.Vmm.Firmware.Smbios;

/// <summary>One SMBIOS structure under construction: a formatted area and its strings (SMBIOS 3.6 §6.1).</summary>
internal sealed class SmbiosStructure
{
    private const int HeaderSize = 4;

    private readonly byte[] _area;
    private readonly List<string> _strings = [];

    /// <param name="length">Bytes of the formatted area, header included.</param>
    public SmbiosStructure(byte type, ushort handle, byte length)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, HeaderSize);
        _area = new byte[length];
        _area[0] = type;
        _area[1] = length;
        UInt16(2, handle);
        Handle = handle;
    }

    public ushort Handle { get; }

    public SmbiosStructure Byte(int offset, byte value)
    {
        _area[offset] = value;
        return this;
    }

    public SmbiosStructure UInt16(int offset, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_area.AsSpan(offset), value);
        return this;
    }

    public SmbiosStructure UInt32(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_area.AsSpan(offset), value);
        return this;
    }

    public SmbiosStructure UInt64(int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_area.AsSpan(offset), value);
        return this;
    }

    public SmbiosStructure Bytes(int offset, ReadOnlySpan<byte> value)
    {
        value.CopyTo(_area.AsSpan(offset));
        return this;
    }

    /// <summary>Refers to a string by its number; an empty one is number 0 and not stored.</summary>
    public SmbiosStructure Text(int offset, string text)
    {
        if (text.Length > 0)
        {
            _strings.Add(text);
            _area[offset] = checked((byte)_strings.Count);
        }

        return this;
    }

    public void WriteTo(List<byte> table)
    {
        table.AddRange(_area);
        foreach (string text in _strings)
        {
            table.AddRange(Encoding.ASCII.GetBytes(text));
            table.Add(0);
        }

        // The strings end with an empty one; without any there are still two NULs.
        if (_strings.Count == 0)
        {
            table.Add(0);
        }

        table.Add(0);
    }
}
