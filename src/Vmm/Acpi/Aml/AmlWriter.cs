using System.Buffers.Binary;

namespace WebVm.Vmm.Acpi.Aml;

/// <summary>Collects ACPI machine language bytes (ACPI 6.5 §20.2).</summary>
public sealed class AmlWriter
{
    private const int MaximumPackageLength = (1 << 28) - 1;

    private readonly List<byte> _bytes = [];

    public int Length => _bytes.Count;

    public byte[] ToArray() => [.. _bytes];

    public void Byte(byte value) => _bytes.Add(value);

    public void Bytes(ReadOnlySpan<byte> values) => _bytes.AddRange(values);

    public void Word(ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    public void DoubleWord(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    public void QuadWord(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    /// <summary>Remembers where a construct with a PkgLength begins: after its opcode.</summary>
    public int BeginPackage() => _bytes.Count;

    /// <summary>Puts the PkgLength before everything written since <paramref name="start"/>; it counts its own bytes (§20.2.4).</summary>
    public void EndPackage(int start)
    {
        int contents = _bytes.Count - start;
        int lengthBytes = contents + 1 <= 0x3f ? 1 : contents + 2 <= 0xfff ? 2 : contents + 3 <= 0xf_ffff ? 3 : 4;
        Span<byte> encoded = stackalloc byte[4];
        _bytes.InsertRange(start, encoded[..EncodePackageLength(contents + lengthBytes, lengthBytes, encoded)]);
    }

    /// <summary>A length of a field, in bits, in the form of a PkgLength that does not count itself (§20.2.5.2).</summary>
    public void FieldLength(int bits)
    {
        Span<byte> encoded = stackalloc byte[4];
        int bytes = bits <= 0x3f ? 1 : bits <= 0xfff ? 2 : bits <= 0xf_ffff ? 3 : 4;
        _bytes.AddRange(encoded[..EncodePackageLength(bits, bytes, encoded)]);
    }

    private static int EncodePackageLength(int value, int bytes, Span<byte> into)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, MaximumPackageLength);
        if (bytes == 1)
        {
            into[0] = (byte)value;
            return 1;
        }

        // The first byte holds the count of the others and the lowest four bits.
        into[0] = (byte)(((bytes - 1) << 6) | (value & 0xf));
        for (int i = 1; i < bytes; i++)
        {
            into[i] = (byte)(value >> (4 + ((i - 1) * 8)));
        }

        return bytes;
    }
}
