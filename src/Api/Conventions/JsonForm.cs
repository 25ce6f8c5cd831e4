using System.Globalization;
using System.Numerics;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace WebVm.Api.Conventions;

/// <summary>Types that answers show and whose fields may be sent back with a change: what cannot be set is passed over.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class ShownAsAttribute(Type view) : Attribute
{
    public Type View { get; } = view;
}

/// <summary>
/// Compares JSON with the form that a type has and names every fault at once, where a serializer ends at the first. What is sound is kept:
/// it can be looked at for faults of another kind. Works on what a serializer has refused, so it costs good requests nothing.
/// </summary>
internal static class JsonForm
{
    private const string Missing = "is required";
    private const string Unknown = "is not a known field";

    /// <summary>
    /// Reads what is sound of a document. Fields of the type that answers show it as (<see cref="ShownAsAttribute"/>) are passed over.
    /// </summary>
    /// <returns>A value in which unsound parts have their defaults; null when nothing is left.</returns>
    public static T? Read<T>(JsonElement json, List<FieldFault> faults)
        where T : class
    {
        var shown = typeof(T).GetCustomAttribute<ShownAsAttribute>()?.View;
        var node = Keep(
            json, ApiJson.Options.GetTypeInfo(typeof(T)), shown is null ? null : ApiJson.Options.GetTypeInfo(shown), "", faults);
        try
        {
            return node?.Deserialize<T>(ApiJson.Options);
        }
        catch (Exception left) when (left is JsonException or InvalidOperationException && faults.Count > 0)
        {
            return null;
        }
    }

    public static string Append(string pointer, string name) =>
        $"{pointer}/{name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}";

    /// <summary>Fields that are given twice, for a reader that knows no type.</summary>
    public static void FindDuplicates(JsonElement json, string pointer, List<FieldFault> faults)
    {
        if (json.ValueKind == JsonValueKind.Object)
        {
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var member in json.EnumerateObject())
            {
                string at = Append(pointer, member.Name);
                if (!names.Add(member.Name))
                {
                    faults.Add(new(at, "is given twice"));
                }

                FindDuplicates(member.Value, at, faults);
            }
        }
        else if (json.ValueKind == JsonValueKind.Array)
        {
            int index = 0;
            foreach (var item in json.EnumerateArray())
            {
                FindDuplicates(item, $"{pointer}/{index++}", faults);
            }
        }
    }

    /// <summary>
    /// Whether an array has an item that is null. The serializer takes it, though no list has such items (RespectNullableAnnotations looks
    /// at members alone).
    /// </summary>
    public static bool HasNullItem(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        var before = JsonTokenType.None;
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.Null && before is not (JsonTokenType.None or JsonTokenType.PropertyName))
            {
                return true;
            }

            before = reader.TokenType;
        }

        return false;
    }

    private static JsonNode? Keep(JsonElement json, JsonTypeInfo type, JsonTypeInfo? shown, string pointer, List<FieldFault> faults) =>
        type.Kind switch
    {
        JsonTypeInfoKind.Object => KeepObject(json, type, shown, pointer, faults),
        JsonTypeInfoKind.Dictionary => KeepMembers(json, type, pointer, faults),
        JsonTypeInfoKind.Enumerable => KeepItems(json, type, pointer, faults),
        _ => KeepValue(json, type, pointer, faults),
    };

    private static JsonObject? KeepObject(JsonElement json, JsonTypeInfo type, JsonTypeInfo? shown, string pointer, List<FieldFault> faults)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            faults.Add(new(pointer, "must be a JSON object"));
            return null;
        }

        var kept = new JsonObject();
        foreach (var member in json.EnumerateObject())
        {
            string at = Append(pointer, member.Name);
            if (type.Properties.FirstOrDefault(
                property => property.Name.Equals(member.Name, StringComparison.OrdinalIgnoreCase)) is not { } known)
            {
                if (shown?.Properties.Any(property => property.Name == member.Name) != true)
                {
                    faults.Add(new(at, Unknown));
                }
            }
            else if (kept.ContainsKey(known.Name))
            {
                faults.Add(new(at, "is given twice"));
            }
            else
            {
                kept[known.Name] = KeepMember(member.Value, known, at, faults);
            }
        }

        // Null stands for what was there and unsound: a default takes its place.
        foreach (string name in kept.Where(member => member.Value is null).Select(member => member.Key).ToList())
        {
            if (!AllowsNull(type.Properties.First(property => property.Name == name)))
            {
                kept.Remove(name);
            }
        }

        foreach (var required in type.Properties.Where(property => IsRequired(property) && !kept.ContainsKey(property.Name)))
        {
            string at = Append(pointer, required.Name);
            if (!faults.Exists(fault => fault.Pointer == at || fault.Pointer.StartsWith(at + "/", StringComparison.Ordinal)))
            {
                faults.Add(new(at, Missing));
            }

            kept[required.Name] = Placeholder(required.PropertyType);
        }

        return kept;
    }

    private static JsonNode? KeepMember(JsonElement json, JsonPropertyInfo property, string pointer, List<FieldFault> faults)
    {
        if (json.ValueKind == JsonValueKind.Null)
        {
            if (!AllowsNull(property))
            {
                faults.Add(new(pointer, "must not be null"));
            }

            return null;
        }

        return Keep(json, ApiJson.Options.GetTypeInfo(property.PropertyType), null, pointer, faults);
    }

    private static JsonObject? KeepMembers(JsonElement json, JsonTypeInfo type, string pointer, List<FieldFault> faults)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            faults.Add(new(pointer, "must be a JSON object"));
            return null;
        }

        var kept = new JsonObject();
        var element = ApiJson.Options.GetTypeInfo(type.ElementType!);
        foreach (var member in json.EnumerateObject())
        {
            string at = Append(pointer, member.Name);
            if (kept.ContainsKey(member.Name))
            {
                faults.Add(new(at, "is given twice"));
            }
            else if (Keep(member.Value, element, null, at, faults) is { } value)
            {
                kept[member.Name] = value;
            }
        }

        return kept;
    }

    private static JsonArray? KeepItems(JsonElement json, JsonTypeInfo type, string pointer, List<FieldFault> faults)
    {
        if (json.ValueKind != JsonValueKind.Array)
        {
            faults.Add(new(pointer, "must be an array"));
            return null;
        }

        var kept = new JsonArray();
        var element = ApiJson.Options.GetTypeInfo(type.ElementType!);
        int index = 0;
        foreach (var item in json.EnumerateArray())
        {
            if (Keep(item, element, null, $"{pointer}/{index++}", faults) is { } value)
            {
                kept.Add(value);
            }
        }

        return kept;
    }

    private static JsonNode? KeepValue(JsonElement json, JsonTypeInfo info, string pointer, List<FieldFault> faults)
    {
        var type = Nullable.GetUnderlyingType(info.Type) ?? info.Type;
        var node = type == typeof(int) || type == typeof(long) ? Whole(json, type == typeof(int)) : JsonSerializer.SerializeToNode(json);
        try
        {
            if (node?.Deserialize(type, ApiJson.Options) is not null)
            {
                return node;
            }
        }
        catch (Exception refused) when (refused is JsonException or InvalidOperationException or FormatException)
        {
            // Said below, in words of the type's.
        }

        faults.Add(new(pointer, "must be " + Describe(type)));
        return null;
    }

    /// <summary>JSON has one kind of number: 2, 2.0 and 2e0 are the same (RFC 8259 §6).</summary>
    private static JsonValue? Whole(JsonElement json, bool narrow)
    {
        const int MostDigits = 64;
        if (json.ValueKind != JsonValueKind.Number || json.GetRawText() is not { Length: <= MostDigits } text)
        {
            return null;
        }

        // Exact: a double would round beyond 2^53.
        int power = text.AsSpan().IndexOfAny('e', 'E');
        var digits = power < 0 ? text : text.AsSpan(0, power);
        if (!decimal.TryParse(
            digits, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
        {
            return null;
        }

        int exponent = power < 0
            ? 0
            : int.TryParse(text.AsSpan(power + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int read)
                ? Math.Clamp(read, -MostDigits, MostDigits)
                : MostDigits;
        int scale = number.Scale - exponent;
        var unscaled = new BigInteger(number * Pow10(number.Scale));
        var (whole, rest) = scale <= 0
            ? (unscaled * BigInteger.Pow(10, -scale), BigInteger.Zero)
            : (BigInteger.DivRem(unscaled, BigInteger.Pow(10, scale), out var remainder), remainder);
        var (least, most) = narrow ? (int.MinValue, int.MaxValue) : (long.MinValue, long.MaxValue);
        return rest.IsZero && whole >= least && whole <= most ? JsonValue.Create((long)whole) : null;
    }

    private static decimal Pow10(int power)
    {
        decimal result = 1;
        for (int i = 0; i < power; i++)
        {
            result *= 10;
        }

        return result;
    }

    private static bool IsRequired(JsonPropertyInfo property) =>
        property.IsRequired || property.AssociatedParameter is { HasDefaultValue: false };

    private static bool AllowsNull(JsonPropertyInfo property) =>
        property.PropertyType.IsValueType
            ? Nullable.GetUnderlyingType(property.PropertyType) is not null
            : property.AssociatedParameter?.IsNullable ?? property.IsSetNullable;

    /// <summary>Stands for what is required and was not there, so that the rest can be looked at.</summary>
    private static JsonNode? Placeholder(Type type)
    {
        var info = ApiJson.Options.GetTypeInfo(Nullable.GetUnderlyingType(type) ?? type);
        return info.Kind switch
        {
            JsonTypeInfoKind.Object =>
                new JsonObject(
                    info.Properties.Where(IsRequired)
                        .Select(property => KeyValuePair.Create(property.Name, Placeholder(property.PropertyType)))),
            JsonTypeInfoKind.Dictionary => new JsonObject(),
            JsonTypeInfoKind.Enumerable => new JsonArray(),
            _ when info.Type == typeof(string) => JsonValue.Create(""),
            _ => JsonSerializer.SerializeToNode(Activator.CreateInstance(info.Type), info.Type, ApiJson.Options),
        };
    }

    private static string Describe(Type type) =>
        type.IsEnum ? "one of " + string.Join(", ", Enum.GetNames(type).Select(JsonNamingPolicy.CamelCase.ConvertName))
        : type == typeof(string) ? "text"
        : type == typeof(bool) ? "true or false"
        : type == typeof(int) ? $"a whole number between {int.MinValue} and {int.MaxValue}"
        : type == typeof(long) ? "a whole number of at most 64 bits"
        : type == typeof(Guid) ? "a UUID"
        : type == typeof(DateTimeOffset) ? "a time such as 2026-01-31T12:00:00Z"
        : "a number";
}
