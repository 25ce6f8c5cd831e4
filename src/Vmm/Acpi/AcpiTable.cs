using System.Buffers.Binary;
using System.Text;

namespace WebVm.Vmm.Acpi;

/// <summary>A field of a table that holds the address of another table.</summary>
/// <param name="Size">Bytes of the field: 4 or 8.</param>
public readonly record struct AcpiPointer(int Offset, int Size, AcpiTable Target);

/// <summary>One ACPI table, not yet at an address: its pointers are filled and its checksum is made when it is placed.</summary>
public sealed class AcpiTable
{
    public const int HeaderSize = 36;
    private const int LengthOffset = 4;
    private const int ChecksumOffset = 9;

    private readonly List<AcpiPointer> _pointers = [];

    private AcpiTable(string signature, byte[] bytes, int? checksumAt)
    {
        Signature = signature;
        Bytes = bytes;
        ChecksumAt = checksumAt;
    }

    public string Signature { get; }

    public byte[] Bytes { get; }

    /// <summary>Offset of the byte that makes the sum of all bytes 0; null for the FACS, which has none (ACPI 6.5 §5.2.10).</summary>
    public int? ChecksumAt { get; }

    public IReadOnlyList<AcpiPointer> Pointers => _pointers;

    /// <summary>A table with the common header (ACPI 6.5 §5.2.6).</summary>
    public static AcpiTable Create(string signature, byte revision, ReadOnlySpan<byte> body)
    {
        byte[] bytes = new byte[HeaderSize + body.Length];
        Encoding.ASCII.GetBytes(signature, bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(LengthOffset), (uint)bytes.Length);
        bytes[8] = revision;
        "WEBVM "u8.CopyTo(bytes.AsSpan(10));
        "WEBVMPC "u8.CopyTo(bytes.AsSpan(16));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), 1);
        "WBVM"u8.CopyTo(bytes.AsSpan(28));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(32), 1);
        body.CopyTo(bytes.AsSpan(HeaderSize));
        return new AcpiTable(signature, bytes, ChecksumOffset);
    }

    /// <summary>The FACS has a signature and a length, nothing else of the common header.</summary>
    public static AcpiTable CreateWithoutHeader(string signature, ReadOnlySpan<byte> bytes) => new(signature, bytes.ToArray(), null);

    /// <summary>Makes a field of the table point to another table.</summary>
    public void Point(int offset, int size, AcpiTable target) => _pointers.Add(new AcpiPointer(offset, size, target));

    /// <summary>The table's bytes with addresses and checksum filled in.</summary>
    public byte[] Resolve(Func<AcpiTable, ulong> addressOf)
    {
        byte[] bytes = FillPointers(addressOf);
        if (ChecksumAt is { } at)
        {
            bytes[at] = Checksum(bytes);
        }

        return bytes;
    }

    /// <summary>The table's bytes with a value for each pointer and a checksum of 0, for somebody else to complete.</summary>
    public byte[] FillPointers(Func<AcpiTable, ulong> valueOf)
    {
        byte[] bytes = (byte[])Bytes.Clone();
        foreach (var pointer in _pointers)
        {
            ulong value = valueOf(pointer.Target);
            if (pointer.Size == 4)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(pointer.Offset), checked((uint)value));
            }
            else
            {
                BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(pointer.Offset), value);
            }
        }

        return bytes;
    }

    /// <summary>The byte that makes the sum 0.</summary>
    public static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return unchecked((byte)-sum);
    }
}
