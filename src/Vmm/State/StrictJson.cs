using System.Text.Json;
using System.Text.Json.Serialization;

namespace WebVm.Vmm.State;

/// <summary>Saved records are read strictly: what a schema does not name is an error, not ignored.</summary>
public static class StrictJson
{
    public const int MaximumDepth = 32;

    /// <summary>What every context that reads saved records is made with. A new object each time: options belong to one context.</summary>
    public static JsonSerializerOptions NewOptions() => new(JsonSerializerDefaults.Web)
    {
        NumberHandling = JsonNumberHandling.Strict,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        PropertyNameCaseInsensitive = false,
        MaxDepth = MaximumDepth,
    };

    /// <summary>
    /// Whether some array holds null. The serialiser checks members against nullable annotations, but not elements, and no schema has empty
    /// ones.
    /// </summary>
    public static bool HasEmptyElement(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().Any(item => item.ValueKind == JsonValueKind.Null || HasEmptyElement(item)),
        JsonValueKind.Object => element.EnumerateObject().Any(member => HasEmptyElement(member.Value)),
        _ => false,
    };
}
