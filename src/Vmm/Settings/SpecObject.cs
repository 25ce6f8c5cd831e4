using System.Text.Json;

namespace WebVm.Vmm.Settings;

/// <summary>A JSON object of a spec, read field by field: what has the wrong type or is unknown becomes a fault with its pointer.</summary>
public sealed class SpecObject
{
    private const int MaximumElements = 1024;

    private readonly Dictionary<string, JsonElement> _fields = new(StringComparer.Ordinal);
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);
    private readonly string _pointer;
    private readonly List<SpecFault> _faults;

    public SpecObject(JsonElement json, string pointer, List<SpecFault> faults)
    {
        _pointer = pointer;
        _faults = faults;
        if (json.ValueKind != JsonValueKind.Object)
        {
            faults.Add(new(pointer, $"an object is expected, not {Describe(json)}"));
            return;
        }

        foreach (var field in json.EnumerateObject())
        {
            if (!TryGetName(field, out string? name))
            {
                faults.Add(new(pointer, "a field's name is not valid Unicode"));
            }
            else if (!_fields.TryAdd(name, field.Value))
            {
                Fault(name, "given twice");
            }
        }
    }

    /// <summary>The fields that are there and not null.</summary>
    public IReadOnlyList<string> Names => [.. _fields.Where(pair => pair.Value.ValueKind != JsonValueKind.Null).Select(pair => pair.Key)];

    public void Fault(string field, string message) =>
        _faults.Add(
            new($"{_pointer}/{field.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}", message));

    /// <summary>Faults the field as absent, unless it is there and has been faulted for what it is.</summary>
    public void Missing(string field)
    {
        if (!Has(field))
        {
            Fault(field, "is required");
        }
    }

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string field) => Find(field) is not null;

    public string? Text(string field)
    {
        if (Find(field) is not { } value)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String && TryGetString(value, out string? text))
        {
            return text;
        }

        Fault(field, $"a string is expected, not {Describe(value)}");
        return null;
    }

    public int Integer(string field, int otherwise)
    {
        if (Find(field) is not { } value)
        {
            return otherwise;
        }

        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number))
        {
            return number;
        }

        Fault(field, $"an integer is expected, not {Describe(value)}");
        return otherwise;
    }

    public long? Number(string field)
    {
        if (Find(field) is not { } value)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number))
        {
            return number;
        }

        Fault(field, $"an integer is expected, not {Describe(value)}");
        return null;
    }

    public bool Flag(string field, bool otherwise)
    {
        if (Find(field) is not { } value)
        {
            return otherwise;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        Fault(field, $"true or false is expected, not {Describe(value)}");
        return otherwise;
    }

    /// <summary>Bytes, as a number or in <see cref="ByteSize"/>'s form.</summary>
    public ulong? Size(string field)
    {
        if (Find(field) is not { } value)
        {
            return null;
        }

        if ((value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out ulong bytes))
            || (value.ValueKind == JsonValueKind.String && TryGetString(value, out string? text) && ByteSize.TryParse(text, out bytes)))
        {
            return bytes;
        }

        Fault(field, $"a size such as 1048576 or \"512M\" is expected, not {Describe(value)}");
        return null;
    }

    public T Choice<T>(string field, T otherwise)
        where T : struct, Enum
    {
        if (Text(field) is not { } text)
        {
            return otherwise;
        }

        foreach (var value in Enum.GetValues<T>())
        {
            if (value.ToString().Equals(text, StringComparison.OrdinalIgnoreCase))
            {
                return value;
            }
        }

        Fault(field, $"'{text}'; there are {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}");
        return otherwise;
    }

    /// <summary>What the field holds, whatever it is; it lives on when the document is gone.</summary>
    public JsonElement? Element(string field) => Find(field)?.Clone();

    public SpecObject? Object(string field) => Find(field) is { } value ? new SpecObject(value, $"{_pointer}/{field}", _faults) : null;

    public IEnumerable<SpecObject> Array(string field) =>
        Elements(field).Select((element, index) => new SpecObject(element, $"{_pointer}/{field}/{index}", _faults));

    public List<byte> Bytes(string field)
    {
        var result = new List<byte>();
        foreach (var element in Elements(field))
        {
            if (element.ValueKind == JsonValueKind.Number && element.TryGetByte(out byte value))
            {
                result.Add(value);
            }
            else
            {
                Fault($"{field}", $"element {result.Count}: an integer from 0 to 255 is expected, not {Describe(element)}");
                break;
            }
        }

        return result;
    }

    /// <summary>Faults every field that nothing has asked for: a misspelt one must not be ignored.</summary>
    public void RefuseOthers()
    {
        foreach (string field in _fields.Keys.Where(field => !_read.Contains(field)))
        {
            Fault(field, "unknown field");
        }
    }

    private List<JsonElement> Elements(string field)
    {
        if (Find(field) is not { } value)
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > MaximumElements)
        {
            Fault(field, $"an array of at most {MaximumElements} elements is expected, not {Describe(value)}");
            return [];
        }

        return [.. value.EnumerateArray()];
    }

    private JsonElement? Find(string field)
    {
        _read.Add(field);
        return _fields.TryGetValue(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    // A JSON string may hold half a surrogate pair, which .NET refuses to give out.
    private static bool TryGetString(JsonElement value, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? text)
    {
        try
        {
            text = value.GetString();
            return text is not null;
        }
        catch (InvalidOperationException)
        {
            text = null;
            return false;
        }
    }

    private static bool TryGetName(JsonProperty field, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? name)
    {
        try
        {
            name = field.Name;
            return true;
        }
        catch (InvalidOperationException)
        {
            name = null;
            return false;
        }
    }

    private static string Describe(JsonElement value)
    {
        string raw = value.GetRawText();
        return raw.Length <= 40 ? raw : value.ValueKind switch
        {
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => $"an array of {value.GetArrayLength()}",
            _ => raw[..40] + "…",
        };
    }
}
