namespace WebVm.Vmm.Acpi.Aml;

/// <summary>Name (path, value): a named object with a constant value (ACPI 6.5 §20.2.5.1).</summary>
public sealed record AmlName(AmlPath Path, AmlTerm Value) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Name);
        Path.Encode(writer);
        Value.Encode(writer);
    }
}

/// <summary>Scope (path) { … } (§20.2.5.1).</summary>
public sealed record AmlScope(AmlPath Path, params IReadOnlyList<AmlTerm> Body) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Scope);
        int start = writer.BeginPackage();
        Path.Encode(writer);
        foreach (var term in Body)
        {
            term.Encode(writer);
        }

        writer.EndPackage(start);
    }
}

/// <summary>Device (path) { … } (§20.2.5.2).</summary>
public sealed record AmlDevice(AmlPath Path, params IReadOnlyList<AmlTerm> Body) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedDevice);
        int start = writer.BeginPackage();
        Path.Encode(writer);
        foreach (var term in Body)
        {
            term.Encode(writer);
        }

        writer.EndPackage(start);
    }
}

/// <summary>Method (path, arguments) { … } (§20.2.5.2).</summary>
public sealed record AmlMethod(AmlPath Path, int ArgumentCount, bool Serialized, params IReadOnlyList<AmlTerm> Body) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)ArgumentCount, 7u);
        writer.Byte(AmlOpcode.Method);
        int start = writer.BeginPackage();
        Path.Encode(writer);
        writer.Byte((byte)(ArgumentCount | (Serialized ? 1 << 3 : 0)));
        foreach (var term in Body)
        {
            term.Encode(writer);
        }

        writer.EndPackage(start);
    }
}

/// <summary>Mutex (path, level) (§20.2.5.2).</summary>
public sealed record AmlMutex(AmlPath Path, int SyncLevel = 0) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedMutex);
        Path.Encode(writer);
        writer.Byte((byte)(SyncLevel & 0xf));
    }
}

/// <summary>Address spaces of operation regions (§5.5.2.4).</summary>
public enum AmlAddressSpace : byte
{
    SystemMemory = 0,
    SystemIo = 1,
    PciConfiguration = 2,
}

/// <summary>OperationRegion (path, space, offset, length) (§20.2.5.2).</summary>
public sealed record AmlOperationRegion(AmlPath Path, AmlAddressSpace Space, AmlTerm Offset, AmlTerm Length) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedOperationRegion);
        Path.Encode(writer);
        writer.Byte((byte)Space);
        Offset.Encode(writer);
        Length.Encode(writer);
    }
}

/// <summary>Access widths of a field (§20.2.5.2, FieldFlags bits 3:0).</summary>
public enum AmlAccess : byte
{
    Any = 0,
    Byte = 1,
    Word = 2,
    DoubleWord = 3,
    QuadWord = 4,
}

/// <summary>What a write does to the bits of the access unit that are not in the field (FieldFlags bits 6:5).</summary>
public enum AmlUpdate : byte
{
    Preserve = 0,
    WriteAsOnes = 1,
    WriteAsZeros = 2,
}

/// <summary>One field of a region; without a name it is a gap.</summary>
public readonly record struct AmlFieldUnit(string? Name, int Bits);

/// <summary>Field (region, access, lock, update) { … } (§20.2.5.2).</summary>
public sealed record AmlField(AmlPath Region, AmlAccess Access, bool Lock, AmlUpdate Update, params IReadOnlyList<AmlFieldUnit> Units)
    : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedField);
        int start = writer.BeginPackage();
        Region.Encode(writer);
        writer.Byte((byte)((int)Access | (Lock ? 1 << 4 : 0) | ((int)Update << 5)));
        foreach (var unit in Units)
        {
            if (unit.Name is null)
            {
                writer.Byte(0);
            }
            else
            {
                AmlPath.EncodeSegment(writer, unit.Name);
            }

            writer.FieldLength(unit.Bits);
        }

        writer.EndPackage(start);
    }
}
