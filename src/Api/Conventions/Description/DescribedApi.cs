using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace WebVm.Api.Conventions.Description;

/// <summary>
/// What the API says of itself as a whole: how to sign in, its errors, which fields can be set and when they are taken up.
/// </summary>
internal sealed partial class DescribedApi : IOpenApiDocumentTransformer
{
    public const string Bearer = "token";
    public const string Cookie = "session";
    public const string Problem = "ProblemDetails";
    public const string PatchSuffix = "Patch";

    private static readonly Dictionary<string, string> s_tags = new()
    {
        ["Audit"] = "Who changed what.",
        ["Console"] = "Screen, keyboard and serial line of a machine.",
        ["Events"] = "Everything that happens, in order.",
        ["Hosts"] = "What machines run on.",
        ["Images"] = "What machines boot from.",
        ["Metrics"] = "Counters of running machines.",
        ["Operations"] = "Long work: its progress, its outcome, and its end.",
        ["Power"] = "On, off and what lies between.",
        ["Session"] = "Signing a browser in and out.",
        ["Snapshots"] = "Points in time that a machine can be taken back to.",
        ["Tokens"] = "What programs sign in with.",
        ["Users"] = "Who may sign in.",
        ["VMs"] = "Virtual machines and their settings.",
    };

    public Task TransformAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new OpenApiInfo
        {
            Title = "WebVm",
            Version = "1",
            Description = "Virtual machines as REST resources. Within version 1 the API only grows: what an answer has it keeps, and "
                + "what a request may leave out it may always leave out. Clients pass over fields that they do not know.",
        };
        // Wherever it is served: the same document for all.
        document.Servers = [new OpenApiServer { Url = "/" }];
        var components = document.Components ??= new OpenApiComponents();
        components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            [Bearer] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer",
                Description = "A token, as POST /api/v1/tokens makes them." },
            [Cookie] = new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Cookie, Name = "webvm",
                Description = "A browser's sign-in, by POST /api/v1/session." },
        };
        foreach (var tag in document.Tags ?? new HashSet<OpenApiTag>())
        {
            tag.Description = s_tags.GetValueOrDefault(tag.Name!, tag.Name!);
        }

        foreach (var path in document.Paths.Values.OfType<OpenApiPathItem>())
        {
            // Every path that can be read answers HEAD; that is no endpoint of its own.
            if (path.Operations?.ContainsKey(HttpMethod.Get) == true)
            {
                path.Operations.Remove(HttpMethod.Head);
            }
        }

        var schemas = components.Schemas ??= new Dictionary<string, IOpenApiSchema>();
        schemas[Problem] = DescribeProblem();
        foreach (var endpoint in context.DescriptionGroups.SelectMany(group => group.Items))
        {
            if (endpoint.ActionDescriptor.EndpointMetadata.OfType<IAcceptsMetadata>().FirstOrDefault()?.RequestType is not { } type)
            {
                continue;
            }

            DescribeFields(schemas, type);
            if (endpoint.ActionDescriptor.EndpointMetadata.OfType<PatchMetadata>().Any() && schemas.TryGetValue(type.Name, out var whole)
                && !schemas.ContainsKey(type.Name + PatchSuffix))
            {
                schemas[type.Name + PatchSuffix] = PatchOf(type.Name, whole);
            }
        }

        // What no body and no parameter is any more, since conventions describe those.
        var bodies =
            context.DescriptionGroups.SelectMany(group => group.Items).Select(endpoint => endpoint.ActionDescriptor.EndpointMetadata)
                .ToList();
        foreach (string name in schemas.Keys.Where(name => name.StartsWith("ChoiceOf", StringComparison.Ordinal)
            || (name.EndsWith("Settings", StringComparison.Ordinal)
                && !bodies.Any(
                    metadata => !metadata.OfType<PatchMetadata>().Any()
                        && metadata.OfType<IAcceptsMetadata>().FirstOrDefault()?.RequestType?.Name == name))).ToList())
        {
            schemas.Remove(name);
        }

        foreach (var schema in schemas.Values)
        {
            Unfold(schema);
        }

        return Task.CompletedTask;
    }

    /// <summary>Where a comment in the code begins a new line, its text does not.</summary>
    private static void Unfold(IOpenApiSchema? schema)
    {
        if (schema?.Description is { } description && description.Contains('\n', StringComparison.Ordinal))
        {
            schema.Description = Folds().Replace(description, " ");
        }

        if (schema is OpenApiSchema own)
        {
            Unfold(own.Items);
            foreach (var part in new[] { own.Properties?.Values, own.AllOf, own.AnyOf, own.OneOf }.SelectMany(parts => parts ?? []))
            {
                Unfold(part);
            }
        }
    }

    [GeneratedRegex(@"\s*\n\s*")]
    private static partial Regex Folds();

    /// <summary>Says of each field when it is taken up, and which fields of what is shown can only be read.</summary>
    private static void DescribeFields(IDictionary<string, IOpenApiSchema> schemas, Type type)
    {
        var view = type.GetCustomAttribute<ShownAsAttribute>()?.View;
        var shown = view is not null && schemas.TryGetValue(view.Name, out var schema) ? schema.Properties : null;
        var settable = schemas.TryGetValue(type.Name, out var request) ? request.Properties : null;
        foreach (var property in type.GetProperties())
        {
            string name = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            if (property.GetCustomAttribute<TakenUpAttribute>() is { } taken)
            {
                foreach (var field in new[] { Find(settable, name), Find(shown, name) })
                {
                    if (field is not null && field.Description?.Contains(taken.Sentence, StringComparison.Ordinal) != true)
                    {
                        field.Description = $"{field.Description ?? Find(settable, name)?.Description} {taken.Sentence}".TrimStart();
                    }
                }
            }
        }

        foreach (var (name, field) in shown ?? new Dictionary<string, IOpenApiSchema>())
        {
            if (settable?.ContainsKey(name) == false)
            {
                switch (field)
                {
                    case OpenApiSchema own:
                        own.ReadOnly = true;
                        break;
                    case OpenApiSchemaReference reference:
                        reference.ReadOnly = true;
                        break;
                }
            }
        }
    }

    private static IOpenApiSchema? Find(IDictionary<string, IOpenApiSchema>? properties, string name) =>
        properties?.TryGetValue(name, out var found) == true ? found : null;

    private static OpenApiSchema PatchOf(string name, IOpenApiSchema whole) => new()
    {
        Type = JsonSchemaType.Object,
        Description = $"JSON Merge Patch (RFC 7396) of {name}: the fields to change; null for back to the default.",
        Properties = whole.Properties?.ToDictionary(
            property =>
                property.Key, IOpenApiSchema (property) =>
                    new OpenApiSchema { Description = property.Value.Description,
                        AnyOf = [property.Value, new OpenApiSchema { Type = JsonSchemaType.Null }] }),
    };

    private static OpenApiSchema DescribeProblem()
    {
        var text = JsonSchemaType.String;
        var fault = new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string> { "pointer", "message" },
            Properties = new Dictionary<string, IOpenApiSchema>
            {
                ["pointer"] = new OpenApiSchema { Type = text,
                    Description = "JSON pointer (RFC 6901) to the field, \"\" for the body itself, or ?name for a query parameter." },
                ["message"] = new OpenApiSchema { Type = text, Description = "What is wrong with it." },
                ["line"] = new OpenApiSchema { Type = JsonSchemaType.Integer,
                    Description = "Where JSON cannot be read any further; from 1." },
                ["column"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Description = "Byte of that line; from 1." },
            },
        };
        return new()
        {
            Type = JsonSchemaType.Object,
            Description = "Why a request was not carried out (RFC 9457).",
            Required = new HashSet<string> { "type", "title", "status", "traceId" },
            Properties = new Dictionary<string, IOpenApiSchema>
            {
                ["type"] = new OpenApiSchema { Type = text, Format = "uri", Enum = [.. ProblemTypes.All.Select(type => (JsonNode)type.Uri)],
                    Description = "One of a closed list." },
                ["title"] = new OpenApiSchema { Type = text, Description = "The same for every occurrence of the type." },
                ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Description = "The answer's status." },
                ["detail"] = new OpenApiSchema { Type = text, Description = "What happened, for people." },
                ["traceId"] = new OpenApiSchema { Type = text,
                    Description = "By which the service's log and the audit trail name the request." },
                ["errors"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = fault, Description = "Every field that is wrong." },
                ["existing"] = new OpenApiSchema
                {
                    Type = JsonSchemaType.Object,
                    Description = "Of name-taken: who has the name.",
                    Properties = new Dictionary<string, IOpenApiSchema> { ["id"] = new OpenApiSchema { Type = text, Format = "uuid" },
                        ["href"] = new OpenApiSchema { Type = text, Description = "Path of the resource." } },
                },
            },
        };
    }
}
