using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace WebVm.Vmm.Tests.State;

/// <summary>What a saved record looks like, member by member, as lines of text: equal lines, equal JSON.</summary>
internal static class RecordShape
{
    /// <summary>Of what is generated to read and write the record.</summary>
    public static IReadOnlyList<string> Of(JsonTypeInfo type) => [.. Members(type, "  ")];

    /// <summary>Of a record that is written by hand, from one that was.</summary>
    public static IReadOnlyList<string> Of(JsonObject sample) => [.. Members(sample, "  ")];

    private static IEnumerable<string> Members(JsonTypeInfo type, string indent)
    {
        foreach (var property in type.Properties.Where(property => property.Get is not null)
            .OrderBy(property => property.Name, StringComparer.Ordinal))
        {
            var inner = type.Options.GetTypeInfo(property.PropertyType);
            string converter = property.CustomConverter is { } custom ? $" by {custom.GetType().Name}" : "";
            yield return $"{indent}{property.Name}{(IsRequired(property) ? "" : "?")}: {Name(inner)}{(property.IsGetNullable && !property.PropertyType.IsValueType ? " or null" : "")}{converter}";
            foreach (string line in Members(Innermost(inner), indent + "  "))
            {
                yield return line;
            }
        }
    }

    private static bool IsRequired(JsonPropertyInfo property) =>
        property.IsRequired
            || (property.Options.RespectRequiredConstructorParameters
                && property.AssociatedParameter is { HasDefaultValue: false, IsMemberInitializer: false });

    private static IEnumerable<string> Members(JsonObject sample, string indent) =>
        sample.OrderBy(member => member.Key, StringComparer.Ordinal).SelectMany(member => member.Value switch
    {
        JsonObject inner => Members(inner, indent + "  ").Prepend($"{indent}{member.Key}: record"),
        JsonArray list => [$"{indent}{member.Key}: {list.Count} of {list[0]!.GetValueKind()}"],
        { } value => [$"{indent}{member.Key}: {value.GetValueKind()}"],
        _ => [$"{indent}{member.Key}: null"],
    });

    private static string Name(JsonTypeInfo type) => type.Kind switch
    {
        JsonTypeInfoKind.Object => "record",
        JsonTypeInfoKind.Enumerable => $"list of {Name(type.Options.GetTypeInfo(type.ElementType!))}",
        JsonTypeInfoKind.Dictionary => $"map of {Name(type.Options.GetTypeInfo(type.ElementType!))}",
        _ when Nullable.GetUnderlyingType(type.Type) is { } some => $"{Name(type.Options.GetTypeInfo(some))} or null",
        _ when type.Type.IsEnum =>
            $"one of {string.Join(", ", Enum.GetValuesAsUnderlyingType(type.Type).Cast<object>().Select(value => $"{Enum.GetName(type.Type, value)} ({value})"))}",
        _ => type.Type == typeof(JsonElement) ? "anything" : type.Type.Name,
    };

    private static JsonTypeInfo Innermost(JsonTypeInfo type) =>
        type.ElementType is { } element ? Innermost(type.Options.GetTypeInfo(element))
        : Nullable.GetUnderlyingType(type.Type) is { } some ? Innermost(type.Options.GetTypeInfo(some)) : type;
}
