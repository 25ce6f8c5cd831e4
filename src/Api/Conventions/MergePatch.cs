using System.Text.Json;
using System.Text.Json.Nodes;

namespace WebVm.Api.Conventions;

/// <summary>JSON Merge Patch (RFC 7396).</summary>
public static class MergePatch
{
    /// <summary>Applies a patch to a value by way of its JSON.</summary>
    /// <param name="fault">The bad field, when the result is null.</param>
    public static T? Apply<T>(T current, JsonNode? patch, out FieldFault? fault)
        where T : class
    {
        if (patch is not JsonObject)
        {
            fault = new("", "must be a JSON object");
            return null;
        }

        try
        {
            var merged = Merge(JsonSerializer.SerializeToNode(current, ApiJson.Options), patch);
            fault = null;
            return merged.Deserialize<T>(ApiJson.Options);
        }
        catch (ArgumentException)
        {
            // A node finds its fields when it is first asked for one.
            fault = new("", "has a field that is given twice");
            return null;
        }
        catch (JsonException failure)
        {
            fault = JsonFaults.From(failure);
            return null;
        }
    }

    private static JsonNode? Merge(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject changes)
        {
            return patch?.DeepClone();
        }

        var result = target as JsonObject ?? [];
        foreach (var (name, value) in changes)
        {
            if (value is null)
            {
                result.Remove(name);
            }
            else
            {
                result.TryGetPropertyValue(name, out var before);
                result.Remove(name);
                result[name] = Merge(before, value);
            }
        }

        return result;
    }
}
