namespace WebVm.Vmm.Acpi.Aml;

/// <summary>One construct of ACPI machine language: an object, a statement or an expression (ACPI 6.5 §20.2).</summary>
public abstract record AmlTerm
{
    public abstract void Encode(AmlWriter writer);

    public static implicit operator AmlTerm(ulong value) => new AmlInteger(value);

    public static implicit operator AmlTerm(string value) => new AmlString(value);

    public byte[] ToBytes()
    {
        var writer = new AmlWriter();
        Encode(writer);
        return writer.ToArray();
    }
}

/// <summary>Opcodes (ACPI 6.5 §20.3, table 20.1); two-byte ones have 0x5b in the high byte.</summary>
internal static class AmlOpcode
{
    public const byte Zero = 0x00;
    public const byte One = 0x01;
    public const byte Name = 0x08;
    public const byte BytePrefix = 0x0a;
    public const byte WordPrefix = 0x0b;
    public const byte DoubleWordPrefix = 0x0c;
    public const byte StringPrefix = 0x0d;
    public const byte QuadWordPrefix = 0x0e;
    public const byte Scope = 0x10;
    public const byte Buffer = 0x11;
    public const byte Package = 0x12;
    public const byte Method = 0x14;
    public const byte DualName = 0x2e;
    public const byte MultiName = 0x2f;
    public const byte Extended = 0x5b;
    public const byte ExtendedMutex = 0x01;
    public const byte ExtendedAcquire = 0x23;
    public const byte ExtendedRelease = 0x27;
    public const byte ExtendedOperationRegion = 0x80;
    public const byte ExtendedField = 0x81;
    public const byte ExtendedDevice = 0x82;
    public const byte Root = 0x5c;
    public const byte Parent = 0x5e;
    public const byte Local0 = 0x60;
    public const byte Argument0 = 0x68;
    public const byte Store = 0x70;
    public const byte Notify = 0x86;
    public const byte CreateDoubleWordField = 0x8a;
    public const byte LogicalNot = 0x92;
    public const byte If = 0xa0;
    public const byte Else = 0xa1;
    public const byte While = 0xa2;
    public const byte Return = 0xa4;
}
