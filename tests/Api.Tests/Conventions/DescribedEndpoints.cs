using System.Text.Json.Nodes;

namespace WebVm.Api.Tests.Conventions;

/// <summary>Every endpoint of the API as its own description has it, so that tests walk a new one too.</summary>
internal sealed record DescribedEndpoint(HttpMethod Method, string Template, JsonNode Description)
{
    public string Name => $"{Method} {Template}";

    public bool Reads => Method == HttpMethod.Get || Method == HttpMethod.Head;

    /// <summary>
    /// Tries to sign in are counted, the ill-formed too: after ten in a minute the answer is 429, here and to other tests.
    /// </summary>
    public bool IsCounted => Name == "POST /api/v1/session";

    /// <summary>The path with ids that nothing has.</summary>
    public string Path => Concrete(Guid.Empty.ToString(), Guid.Empty.ToString());

    public IReadOnlyList<string> Statuses => [.. Description["responses"]!.AsObject().Select(response => response.Key)];

    public IEnumerable<JsonNode> Parameters => Description["parameters"]?.AsArray().Select(parameter => parameter!) ?? [];

    /// <summary>The content type of its JSON body; null without one.</summary>
    public string? BodyType => Description["requestBody"]?["content"]!.AsObject().First().Key;

    public bool Has(string parameter) => Parameters.Any(one => (string)one["name"]! == parameter);

    public string Concrete(string id, string snapshot) =>
        Template.Replace("{id}", id, StringComparison.Ordinal).Replace("{snapshot}", snapshot, StringComparison.Ordinal);

    /// <summary>The body's schema, with references followed.</summary>
    public JsonNode BodySchema(JsonNode document) =>
        Resolve(document, Description["requestBody"]!["content"]!.AsObject().First().Value!["schema"]!);

    public static JsonNode Resolve(JsonNode document, JsonNode schema)
    {
        while ((string?)schema["$ref"] is { } reference)
        {
            schema = document["components"]!["schemas"]![reference.Split('/')[^1]]!;
        }

        return schema;
    }

    public static async Task<JsonNode> DocumentAsync(HttpClient client) =>
        (await client.SendAsync(HttpMethod.Get, "/openapi/v1.json")).Body!;

    public static IReadOnlyList<DescribedEndpoint> All(JsonNode document) =>
        [.. document["paths"]!.AsObject()
            .SelectMany(
                path => path.Value!.AsObject(), (path, method) => new DescribedEndpoint(
                    HttpMethod.Parse(method.Key.ToUpperInvariant()), path.Key, method.Value!))];

    public static async Task<IReadOnlyList<DescribedEndpoint>> AllAsync(HttpClient client) => All(await DocumentAsync(client));
}
