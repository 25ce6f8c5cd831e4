namespace WebVm.Vmm.Acpi.Aml;

/// <summary>One descriptor of a resource template (ACPI 6.5 §6.4).</summary>
public abstract record AmlResource
{
    public abstract void Encode(AmlWriter writer);
}

/// <summary>A resource template: the value of _CRS, a buffer of descriptors and an end tag.</summary>
public sealed record AmlResourceTemplate(params IReadOnlyList<AmlResource> Resources) : AmlTerm
{
    private const byte EndTag = 0x79;

    public override void Encode(AmlWriter writer)
    {
        var contents = new AmlWriter();
        foreach (var resource in Resources)
        {
            resource.Encode(contents);
        }

        contents.Byte(EndTag);
        // A checksum of 0 is taken as right (§6.4.2.9).
        contents.Byte(0);
        new AmlBuffer(contents.ToArray()).Encode(writer);
    }
}

/// <summary>Ports decoded with 16 bits at a fixed place (§6.4.2.5).</summary>
public sealed record AmlIoPort(ushort Base, byte Length) : AmlResource
{
    public override void Encode(AmlWriter writer)
    {
        const byte decode16 = 1;
        writer.Byte(0x47);
        writer.Byte(decode16);
        writer.Word(Base);
        writer.Word(Base);
        writer.Byte(1);
        writer.Byte(Length);
    }
}

/// <summary>An ISA interrupt: edge triggered, active high, exclusive (§6.4.2.1, short form).</summary>
public sealed record AmlIrq(int Irq) : AmlResource
{
    public override void Encode(AmlWriter writer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)Irq, 15u);
        writer.Byte(0x22);
        writer.Word((ushort)(1 << Irq));
    }
}

/// <summary>A fixed range of 32-bit memory addresses (§6.4.3.4).</summary>
public sealed record AmlMemory32Fixed(uint Base, uint Length, bool Writable) : AmlResource
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(0x86);
        writer.Word(9);
        writer.Byte(Writable ? (byte)1 : (byte)0);
        writer.DoubleWord(Base);
        writer.DoubleWord(Length);
    }
}

/// <summary>Kinds of address space descriptors (§6.4.3.5).</summary>
public enum AmlRangeKind : byte
{
    Memory = 0,
    Io = 1,
    BusNumber = 2,
}

/// <summary>How memory of a range may be cached (§6.4.3.5.5).</summary>
public enum AmlCaching : byte
{
    Uncacheable = 0,
    Cacheable = 1,
    WriteCombining = 2,
    Prefetchable = 3,
}

/// <summary>A range that a bridge passes on to its children: positive decode, both ends fixed, no translation (§6.4.3.5).</summary>
/// <param name="Width">Bits of the addresses: 16, 32 or 64.</param>
/// <param name="Last">Inclusive.</param>
public sealed record AmlWindow(AmlRangeKind Kind, int Width, ulong First, ulong Last, AmlCaching Caching = AmlCaching.Uncacheable)
    : AmlResource
{
    public override void Encode(AmlWriter writer)
    {
        const byte bothEndsFixed = (1 << 2) | (1 << 3);
        const byte entireRange = 3;
        const byte readWrite = 1;
        var (tag, bytes) = Width switch
        {
            16 => ((byte)0x88, 2),
            32 => ((byte)0x87, 4),
            64 => ((byte)0x8a, 8),
            _ => throw new InvalidOperationException($"An address space descriptor of {Width} bits does not exist."),
        };
        writer.Byte(tag);
        writer.Word((ushort)(3 + (5 * bytes)));
        writer.Byte((byte)Kind);
        writer.Byte(bothEndsFixed);
        writer.Byte(Kind switch
        {
            AmlRangeKind.Io => entireRange,
            AmlRangeKind.Memory => (byte)(readWrite | ((int)Caching << 1)),
            _ => 0,
        });
        Number(0);
        Number(First);
        Number(Last);
        Number(0);
        Number(Last - First + 1);

        void Number(ulong value)
        {
            switch (bytes)
            {
                case 2:
                    writer.Word(checked((ushort)value));
                    break;
                case 4:
                    writer.DoubleWord(checked((uint)value));
                    break;
                default:
                    writer.QuadWord(value);
                    break;
            }
        }
    }
}
