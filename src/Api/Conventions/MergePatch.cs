using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WebVm.Api.Conventions;

/// <summary>JSON Merge Patch (RFC 7396).</summary>
public static class MergePatch
{
    /// <summary>Applies a patch to a value by way of its JSON.</summary>
    /// <param name="faults">Every field of the wrong form.</param>
    /// <returns>What is sound of the result; null when nothing is.</returns>
    internal static T? Apply<T>(T current, JsonElement patch, List<FieldFault> faults)
        where T : class
    {
        var merged = JsonSerializer.SerializeToElement(Merge(JsonSerializer.SerializeToNode(current, ApiJson.Options), patch));
        try
        {
            if (!JsonForm.HasNullItem(JsonMarshal.GetRawUtf8Value(merged)))
            {
                return merged.Deserialize<T>(ApiJson.Options);
            }
        }
        catch (JsonException)
        {
            // What is wrong with it is said below.
        }

        return JsonForm.Read<T>(merged, faults);
    }

    private static JsonNode? Merge(JsonNode? target, JsonElement patch)
    {
        if (patch.ValueKind != JsonValueKind.Object)
        {
            return JsonSerializer.SerializeToNode(patch);
        }

        var result = target as JsonObject ?? [];
        foreach (var change in patch.EnumerateObject())
        {
            result.TryGetPropertyValue(change.Name, out var before);
            result.Remove(change.Name);
            if (change.Value.ValueKind != JsonValueKind.Null)
            {
                result[change.Name] = Merge(before, change.Value);
            }
        }

        return result;
    }
}
