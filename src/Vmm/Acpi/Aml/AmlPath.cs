namespace WebVm.Vmm.Acpi.Aml;

/// <summary>A name or path in the ACPI namespace such as "_SB.PCI0", "\\_S5" or "^PRW0" (ACPI 6.5 §20.2.2).</summary>
/// <remarks>As an expression it refers to the named object: reads it, or calls the method when it takes no arguments.</remarks>
public sealed record AmlPath : AmlTerm
{
    private const int SegmentLength = 4;

    private readonly string _text;

    public AmlPath(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        _text = text;
        foreach (string segment in Segments())
        {
            if (segment.Length is 0 or > SegmentLength || char.IsAsciiDigit(segment[0])
                || !segment.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c) || c == '_'))
            {
                throw new ArgumentException($"'{text}' is not an ACPI name.", nameof(text));
            }
        }
    }

    public static implicit operator AmlPath(string text) => new(text);

    public override void Encode(AmlWriter writer)
    {
        foreach (char c in _text)
        {
            if (c == '\\')
            {
                writer.Byte(AmlOpcode.Root);
            }
            else if (c == '^')
            {
                writer.Byte(AmlOpcode.Parent);
            }
            else
            {
                break;
            }
        }

        string[] segments = Segments();
        switch (segments.Length)
        {
            case 0:
                writer.Byte(0);
                break;
            case 1:
                break;
            case 2:
                writer.Byte(AmlOpcode.DualName);
                break;
            default:
                writer.Byte(AmlOpcode.MultiName);
                writer.Byte(checked((byte)segments.Length));
                break;
        }

        foreach (string segment in segments)
        {
            EncodeSegment(writer, segment);
        }
    }

    /// <summary>One name of four characters, shorter ones padded by underscores.</summary>
    internal static void EncodeSegment(AmlWriter writer, string segment)
    {
        for (int i = 0; i < SegmentLength; i++)
        {
            writer.Byte(i < segment.Length ? (byte)segment[i] : (byte)'_');
        }
    }

    public override string ToString() => _text;

    private string[] Segments() =>
        _text.TrimStart('\\', '^') is { Length: > 0 } names ? names.Split('.') : [];
}
