using System.Text.Json.Nodes;

namespace WebVm.Api.Tests.Conventions;

/// <summary>
/// What a newer description of the API no longer keeps of an older one: things that break a client that was written for that.
/// </summary>
internal static class Growth
{
    public static IReadOnlyList<string> Breaks(JsonNode before, JsonNode after)
    {
        var breaks = new List<string>();
        var endpoints = DescribedEndpoint.All(after).ToDictionary(endpoint => endpoint.Name);
        foreach (var old in DescribedEndpoint.All(before))
        {
            if (!endpoints.TryGetValue(old.Name, out var now))
            {
                breaks.Add($"{old.Name} is gone");
                continue;
            }

            if ((string?)old.Description["operationId"] != (string?)now.Description["operationId"])
            {
                breaks.Add($"{old.Name} has another operationId");
            }

            CompareParameters(old, now, breaks);
            if (now.BodyType is not null)
            {
                if (old.BodyType is null)
                {
                    breaks.Add($"{old.Name} wants a body");
                }
                else
                {
                    Compare(new(before, after, Sent: true, breaks), old.BodySchema(before), now.BodySchema(after), $"{old.Name} body", []);
                }
            }

            CompareAnswers(before, after, old, now, breaks);
        }

        return breaks;
    }

    private static void CompareParameters(DescribedEndpoint old, DescribedEndpoint now, List<string> breaks)
    {
        foreach (var parameter in old.Parameters)
        {
            var same = now.Parameters.FirstOrDefault(
                one => (string)one["name"]! == (string)parameter["name"]! && (string)one["in"]! == (string)parameter["in"]!);
            string at = $"{old.Name} parameter {parameter["name"]}";
            if (same is null)
            {
                breaks.Add($"{at} is gone");
            }
            else if (Values(parameter["schema"]!["enum"]).Except(Values(same["schema"]!["enum"])).Any()
                && same["schema"]!["enum"] is not null)
            {
                breaks.Add($"{at} takes fewer values");
            }
            else if ((string?)parameter["schema"]!["type"] != (string?)same["schema"]!["type"])
            {
                breaks.Add($"{at} is of another type");
            }
        }

        foreach (var parameter in now.Parameters.Where(parameter => (bool?)parameter["required"] == true))
        {
            if (!old.Parameters.Any(one => (string)one["name"]! == (string)parameter["name"]! && (bool?)one["required"] == true))
            {
                breaks.Add($"{old.Name} parameter {parameter["name"]} is required");
            }
        }
    }

    private static void CompareAnswers(JsonNode before, JsonNode after, DescribedEndpoint old, DescribedEndpoint now, List<string> breaks)
    {
        foreach (var (status, answer) in old.Description["responses"]!.AsObject().Where(response => response.Key[0] == '2'))
        {
            var same = now.Description["responses"]![status];
            foreach (var (type, content) in answer!["content"]?.AsObject() ?? [])
            {
                if (same?["content"]?[type]?["schema"] is not { } schema)
                {
                    breaks.Add($"{old.Name} no longer answers {status} with {type}");
                }
                else if (content!["schema"] is { } shown)
                {
                    Compare(new(before, after, Sent: false, breaks), shown, schema, $"{old.Name} {status}", []);
                }
            }
        }
    }

    /// <param name="Sent">Whether clients send it, and so must not have to send more; or read it, and so must not find less.</param>
    private sealed record Comparison(JsonNode Before, JsonNode After, bool Sent, List<string> Breaks);

    private static void Compare(Comparison comparison, JsonNode before, JsonNode after, string at, HashSet<string> seen)
    {
        string key = $"{before["$ref"]} {after["$ref"]}";
        if (key.Length > 1 && !seen.Add(key))
        {
            return;
        }

        var (old, now) = (DescribedEndpoint.Resolve(comparison.Before, before), DescribedEndpoint.Resolve(comparison.After, after));
        var (larger, smaller) = comparison.Sent ? (now, old) : (old, now);
        if (Types(larger) is { Count: > 0 } types && Types(smaller).Except(types).Any())
        {
            comparison.Breaks.Add($"{at} is of another type");
        }

        if (Values(old["enum"]).Except(Values(now["enum"])).Any() && (now["enum"] is not null || !comparison.Sent))
        {
            comparison.Breaks.Add($"{at} has fewer values");
        }

        if (Values((comparison.Sent ? now : old)["required"]).Except(Values((comparison.Sent ? old : now)["required"]))
            .ToList() is { Count: > 0 } required)
        {
            comparison.Breaks.Add($"{at} {(comparison.Sent ? "wants" : "may lack")} {string.Join(", ", required)}");
        }

        foreach (var (name, property) in old["properties"]?.AsObject() ?? [])
        {
            if (now["properties"]?[name] is { } same)
            {
                Compare(comparison, property!, same, $"{at}/{name}", [.. seen]);
            }
            else
            {
                comparison.Breaks.Add($"{at}/{name} is gone");
            }
        }

        foreach (string part in new[] { "items", "additionalProperties" })
        {
            if (old[part] is JsonObject inner && now[part] is JsonObject same)
            {
                Compare(comparison, inner, same, $"{at}/{part}", [.. seen]);
            }
        }
    }

    private static IReadOnlyList<string> Types(JsonNode schema) =>
        schema["type"] is JsonArray many ? Values(many) : schema["type"] is { } one ? [(string)one!] : [];

    private static IReadOnlyList<string> Values(JsonNode? list) => [.. list?.AsArray().Select(value => value?.ToString() ?? "null") ?? []];
}
