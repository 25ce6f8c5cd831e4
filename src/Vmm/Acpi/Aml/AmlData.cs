namespace WebVm.Vmm.Acpi.Aml;

/// <summary>An integer in its shortest form (ACPI 6.5 §20.2.3).</summary>
public sealed record AmlInteger(ulong Value) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        switch (Value)
        {
            case 0:
                writer.Byte(AmlOpcode.Zero);
                break;
            case 1:
                writer.Byte(AmlOpcode.One);
                break;
            case <= byte.MaxValue:
                writer.Byte(AmlOpcode.BytePrefix);
                writer.Byte((byte)Value);
                break;
            case <= ushort.MaxValue:
                writer.Byte(AmlOpcode.WordPrefix);
                writer.Word((ushort)Value);
                break;
            case <= uint.MaxValue:
                writer.Byte(AmlOpcode.DoubleWordPrefix);
                writer.DoubleWord((uint)Value);
                break;
            default:
                writer.Byte(AmlOpcode.QuadWordPrefix);
                writer.QuadWord(Value);
                break;
        }
    }
}

/// <summary>A NUL-terminated ASCII string (§20.2.3).</summary>
public sealed record AmlString : AmlTerm
{
    private readonly string _text;

    public AmlString(string text)
    {
        if (!text.All(c => c is > '\0' and <= '\x7f'))
        {
            throw new ArgumentException("ACPI strings are ASCII without NUL.", nameof(text));
        }

        _text = text;
    }

    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.StringPrefix);
        foreach (char c in _text)
        {
            writer.Byte((byte)c);
        }

        writer.Byte(0);
    }
}

/// <summary>A seven-character EISA identifier such as "PNP0A08", as the compressed integer that _HID takes (§6.1.5).</summary>
public sealed record AmlEisaId : AmlTerm
{
    private readonly uint _value;

    public AmlEisaId(string id)
    {
        if (id.Length != 7 || !id[..3].All(char.IsAsciiLetterUpper) || !id[3..].All(char.IsAsciiHexDigitUpper))
        {
            throw new ArgumentException($"'{id}' is not an EISA identifier of three letters and four hexadecimal digits.", nameof(id));
        }

        int letters = ((id[0] - '@') << 10) | ((id[1] - '@') << 5) | (id[2] - '@');
        uint product = Convert.ToUInt32(id[3..], 16);
        // Big-endian in memory: manufacturer, then product.
        _value = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(((uint)letters << 16) | product);
    }

    public override void Encode(AmlWriter writer) => new AmlInteger(_value).Encode(writer);
}

/// <summary>A buffer with given contents (§20.2.5.4).</summary>
public sealed record AmlBuffer(ReadOnlyMemory<byte> Contents) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Buffer);
        int start = writer.BeginPackage();
        new AmlInteger((ulong)Contents.Length).Encode(writer);
        writer.Bytes(Contents.Span);
        writer.EndPackage(start);
    }
}

/// <summary>A package of at most 255 elements (§20.2.5.4).</summary>
public sealed record AmlPackage(params IReadOnlyList<AmlTerm> Elements) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Package);
        int start = writer.BeginPackage();
        writer.Byte(checked((byte)Elements.Count));
        foreach (var element in Elements)
        {
            element.Encode(writer);
        }

        writer.EndPackage(start);
    }
}

/// <summary>A UUID as the 16 bytes that _OSC and _DSM compare (§19.6.142, ToUUID).</summary>
public sealed record AmlUuid(Guid Value) : AmlTerm
{
    public override void Encode(AmlWriter writer) => new AmlBuffer(Value.ToByteArray()).Encode(writer);
}
