namespace WebVm.Vmm.Acpi.Aml;

/// <summary>Operators of two operands; those with a target take it third (ACPI 6.5 §20.2.5.4).</summary>
public enum AmlOperator
{
    Add = 0x72,
    Subtract = 0x74,
    Multiply = 0x77,
    ShiftLeft = 0x79,
    ShiftRight = 0x7a,
    And = 0x7b,
    Or = 0x7d,
    Xor = 0x7f,
    Index = 0x88,
    LogicalAnd = 0x90,
    LogicalOr = 0x91,
    Equal = 0x93,
    Greater = 0x94,
    Less = 0x95,
    NotEqual = 0x9293,
    LessOrEqual = 0x9294,
    GreaterOrEqual = 0x9295,
}

/// <summary>An operator applied; <paramref name="Target"/> receives the result of the arithmetic ones as well.</summary>
public sealed record AmlBinary(AmlOperator Operator, AmlTerm Left, AmlTerm Right, AmlTerm? Target = null) : AmlTerm
{
    private bool IsLogical => Operator is AmlOperator.LogicalAnd or AmlOperator.LogicalOr or >= AmlOperator.Equal;

    public override void Encode(AmlWriter writer)
    {
        if ((int)Operator > byte.MaxValue)
        {
            writer.Byte(AmlOpcode.LogicalNot);
        }

        writer.Byte((byte)Operator);
        Left.Encode(writer);
        Right.Encode(writer);
        if (!IsLogical)
        {
            if (Target is null)
            {
                writer.Byte(0);
            }
            else
            {
                Target.Encode(writer);
            }
        }
    }
}

/// <summary>LNot (operand).</summary>
public sealed record AmlNot(AmlTerm Operand) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.LogicalNot);
        Operand.Encode(writer);
    }
}

/// <summary>Local0-Local7.</summary>
public sealed record AmlLocal(int Index) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)Index, 7u);
        writer.Byte((byte)(AmlOpcode.Local0 + Index));
    }
}

/// <summary>Arg0-Arg6.</summary>
public sealed record AmlArgument(int Index) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)Index, 6u);
        writer.Byte((byte)(AmlOpcode.Argument0 + Index));
    }
}

/// <summary>Store (source, target).</summary>
public sealed record AmlStore(AmlTerm Source, AmlTerm Target) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Store);
        Source.Encode(writer);
        Target.Encode(writer);
    }
}

/// <summary>CreateDWordField (buffer, byte offset, name).</summary>
public sealed record AmlCreateDoubleWordField(AmlTerm Buffer, AmlTerm Offset, AmlPath Name) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.CreateDoubleWordField);
        Buffer.Encode(writer);
        Offset.Encode(writer);
        Name.Encode(writer);
    }
}

/// <summary>If (condition) { … } Else { … }; the second part is absent when empty.</summary>
public sealed record AmlIf(AmlTerm Condition, IReadOnlyList<AmlTerm> Then, IReadOnlyList<AmlTerm>? Else = null) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        EncodeBlock(writer, AmlOpcode.If, Condition, Then);
        if (Else is { Count: > 0 })
        {
            EncodeBlock(writer, AmlOpcode.Else, null, Else);
        }
    }

    internal static void EncodeBlock(AmlWriter writer, byte opcode, AmlTerm? condition, IReadOnlyList<AmlTerm> body)
    {
        writer.Byte(opcode);
        int start = writer.BeginPackage();
        condition?.Encode(writer);
        foreach (var term in body)
        {
            term.Encode(writer);
        }

        writer.EndPackage(start);
    }
}

/// <summary>While (condition) { … }.</summary>
public sealed record AmlWhile(AmlTerm Condition, params IReadOnlyList<AmlTerm> Body) : AmlTerm
{
    public override void Encode(AmlWriter writer) => AmlIf.EncodeBlock(writer, AmlOpcode.While, Condition, Body);
}

/// <summary>Return (value).</summary>
public sealed record AmlReturn(AmlTerm Value) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Return);
        Value.Encode(writer);
    }
}

/// <summary>Notify (object, code).</summary>
public sealed record AmlNotify(AmlTerm Target, AmlTerm Code) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Notify);
        Target.Encode(writer);
        Code.Encode(writer);
    }
}

/// <summary>Acquire (mutex, without a time limit).</summary>
public sealed record AmlAcquire(AmlPath Mutex) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedAcquire);
        Mutex.Encode(writer);
        writer.Word(0xffff);
    }
}

/// <summary>Release (mutex).</summary>
public sealed record AmlRelease(AmlPath Mutex) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        writer.Byte(AmlOpcode.Extended);
        writer.Byte(AmlOpcode.ExtendedRelease);
        Mutex.Encode(writer);
    }
}

/// <summary>A call of a method with arguments.</summary>
public sealed record AmlInvoke(AmlPath Method, params IReadOnlyList<AmlTerm> Arguments) : AmlTerm
{
    public override void Encode(AmlWriter writer)
    {
        Method.Encode(writer);
        foreach (var argument in Arguments)
        {
            argument.Encode(writer);
        }
    }
}
