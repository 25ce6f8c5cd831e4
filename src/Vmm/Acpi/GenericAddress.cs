using System.Buffers.Binary;
using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Acpi;

/// <summary>Generic address structure (ACPI 6.5 §5.2.3.2).</summary>
public static class GenericAddress
{
    /// <summary>Bytes.</summary>
    public const int Size = 12;

    /// <param name="bits">Width of the register.</param>
    /// <param name="accessSize">1 byte, 2 word, 3 double word, 4 quad word; 0 for none in particular.</param>
    public static void Write(Span<byte> into, AmlAddressSpace space, ulong address, byte bits, byte accessSize)
    {
        into[0] = (byte)space;
        into[1] = bits;
        into[2] = 0;
        into[3] = accessSize;
        BinaryPrimitives.WriteUInt64LittleEndian(into[4..], address);
    }
}
