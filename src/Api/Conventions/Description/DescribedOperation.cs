using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc.ApiExplorer;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.AspNetCore.Routing;
using Microsoft.OpenApi;

namespace WebVm.Api.Conventions.Description;

/// <summary>Adds to an endpoint's description what the conventions do for it: parameters, headers, every error, who may call it.</summary>
internal sealed class DescribedOperation : IOpenApiOperationTransformer
{
    private const string ProblemContent = "application/problem+json";

    public Task TransformAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var endpoint = context.Description;
        operation.OperationId = NameOf(endpoint);
        AddSecurity(operation, endpoint, context.Document!);
        AddParameters(operation, endpoint);
        AddErrors(operation, endpoint, context.Document!);
        AddHeaders(operation, endpoint);
        if (Has<PatchMetadata>(endpoint))
        {
            foreach (var content in operation.RequestBody!.Content!.Values)
            {
                content.Schema = new OpenApiSchemaReference(
                    ((OpenApiSchemaReference)content.Schema!).Reference.Id + DescribedApi.PatchSuffix, context.Document);
            }
        }

        return Task.CompletedTask;
    }

    /// <summary>
    /// Of method and path: <c>getVmSnapshot</c>. As lasting as these are. Where two would be named alike, one of them has a name of its
    /// own.
    /// </summary>
    private static string NameOf(ApiDescription endpoint)
    {
        if (endpoint.ActionDescriptor.EndpointMetadata.OfType<IEndpointNameMetadata>().FirstOrDefault() is { } own)
        {
            return own.EndpointName;
        }

        string[] segments = [.. endpoint.RelativePath!.Split('/', StringSplitOptions.RemoveEmptyEntries).Skip(2)];
        string verb = endpoint.HttpMethod!.ToLowerInvariant();
        if (verb == "get"
            && endpoint.SupportedResponseTypes.Any(
                answer => answer.Type is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(Page<>)))
        {
            verb = "list";
        }

        var name = new System.Text.StringBuilder(verb);
        for (int i = 0; i < segments.Length; i++)
        {
            if (!segments[i].StartsWith('{'))
            {
                // One of many has a parameter behind it.
                string word = i + 1 < segments.Length && segments[i + 1].StartsWith('{') ? segments[i].TrimEnd('s') : segments[i];
                foreach (string part in word.Split('-'))
                {
                    name.Append(char.ToUpperInvariant(part[0])).Append(part.AsSpan(1));
                }
            }
        }

        return name.ToString();
    }

    private static void AddSecurity(OpenApiOperation operation, ApiDescription endpoint, OpenApiDocument document)
    {
        var scopes =
            endpoint.ActionDescriptor.EndpointMetadata.OfType<IAuthorizeData>()
                .Where(wanted => wanted.Policy?.StartsWith(EndpointConventions.ScopePolicyPrefix, StringComparison.Ordinal) == true)
            .Select(wanted => wanted.Policy![EndpointConventions.ScopePolicyPrefix.Length..]).Distinct().ToList();
        operation.Security = Has<IAllowAnonymous>(endpoint)
            ? []
            : [Requirement(DescribedApi.Bearer), Requirement(DescribedApi.Cookie)];
        if (scopes.Count > 0)
        {
            operation.Description = $"{operation.Description} Needs the scope {string.Join(", ", scopes)}.".TrimStart();
        }

        OpenApiSecurityRequirement Requirement(string scheme) =>
            new() { [new OpenApiSecuritySchemeReference(scheme, document)] = scheme == DescribedApi.Bearer ? scopes : [] };
    }

    private static void AddParameters(OpenApiOperation operation, ApiDescription endpoint)
    {
        var kept = (operation.Parameters ?? []).Where(parameter => parameter.In is ParameterLocation.Path or ParameterLocation.Header);
        var query = endpoint.ActionDescriptor.EndpointMetadata.OfType<QueryRules>()
            .SelectMany(rules => rules.Parameters, (_, parameter) => Describe(parameter));
        List<HeaderParameter> headers = [.. endpoint.ActionDescriptor.EndpointMetadata.OfType<HeaderParameter>()];
        if (Has<ConditionalMetadata>(endpoint))
        {
            headers.Add(new("If-Match", "Entity tags, or *: 412 unless the resource has one of their revisions."));
        }

        if (IsRevalidated(endpoint))
        {
            headers.Add(new("If-None-Match", "Entity tags: 304 while the answer has one of them."));
        }

        if (Has<IdempotentMetadata>(endpoint))
        {
            headers.Add(
                new(IdempotentMetadata.Header, "At most 255 characters. Repeated with the same key and body within 24 hours, the "
                    + "request is answered as the first time and not carried out again."));
        }

        operation.Parameters = [.. kept, .. query, .. headers.Select(
            header =>
                new OpenApiParameter { Name = header.Name, In = ParameterLocation.Header, Description = header.Description,
                    Schema = new OpenApiSchema { Type = JsonSchemaType.String } })];
        if (operation.Parameters.Count == 0)
        {
            operation.Parameters = null;
        }
    }

    private static OpenApiParameter Describe(QueryParameter parameter)
    {
        var schema = new OpenApiSchema
        {
            Type = parameter.Type == typeof(bool)
                ? JsonSchemaType.Boolean
                : parameter.Type == typeof(int) || parameter.Type == typeof(long) ? JsonSchemaType.Integer : JsonSchemaType.String,
            Format = parameter.Type == typeof(int)
                ? "int32"
                : parameter.Type == typeof(long) ? "int64" : parameter.Type == typeof(Guid) ? "uuid" : null,
            Minimum = parameter.Least?.ToString(CultureInfo.InvariantCulture),
            Maximum = parameter.Most is null or long.MaxValue ? null : parameter.Most.Value.ToString(CultureInfo.InvariantCulture),
            Enum = parameter.Choices?.Select(choice => (JsonNode)choice).ToList(),
        };
        return new()
        {
            Name = parameter.Name,
            In = ParameterLocation.Query,
            Description = parameter.Description,
            Schema = parameter.Many ? new OpenApiSchema { Type = JsonSchemaType.Array, Items = schema } : schema,
        };
    }

    private static void AddErrors(OpenApiOperation operation, ApiDescription endpoint, OpenApiDocument document)
    {
        bool body = operation.RequestBody is not null;
        bool changes = endpoint.HttpMethod is not "GET" and not "HEAD";
        List<int> errors = [401, 403, 429, 500, 503];
        Add(endpoint.RelativePath!.Contains('{', StringComparison.Ordinal), 404);
        Add(changes, 409);
        Add(body, 400, 413, 415, 422);
        Add(endpoint.ActionDescriptor.EndpointMetadata.OfType<QueryRules>().Any(rules => rules.Parameters.Count > 0)
            || Has<IdempotentMetadata>(endpoint), 422);
        Add(Has<ConditionalMetadata>(endpoint) || Has<IdempotentMetadata>(endpoint), 400);
        var responses = operation.Responses ??= [];
        foreach (int status in errors)
        {
            var content = new OpenApiMediaType { Schema = new OpenApiSchemaReference(DescribedApi.Problem, document) };
            responses[status.ToString(CultureInfo.InvariantCulture)] = new OpenApiResponse
            {
                Description = string.Join(
                    " Or: ", ProblemTypes.All.Where(type => type.Status == status).Select(type => $"{type.Name}: {type.Meaning}")),
                Content = new Dictionary<string, OpenApiMediaType> { [ProblemContent] = content },
            };
        }

        // What endpoints have named themselves is described in the same words.
        foreach (var (status, response) in responses.Where(
            entry => int.Parse(entry.Key, CultureInfo.InvariantCulture) is >= 400 and var code && !errors.Contains(code)))
        {
            ((OpenApiResponse)response).Description = string.Join(
                " Or: ", ProblemTypes.All.Where(type => type.Status == int.Parse(status, CultureInfo.InvariantCulture))
                    .Select(type => $"{type.Name}: {type.Meaning}"));
            var problem = new OpenApiMediaType { Schema = new OpenApiSchemaReference(DescribedApi.Problem, document) };
            ((OpenApiResponse)response).Content = new Dictionary<string, OpenApiMediaType> { [ProblemContent] = problem };
        }

        var sorted = responses.OrderBy(entry => entry.Key, StringComparer.Ordinal).ToList();
        responses.Clear();
        sorted.ForEach(entry => responses[entry.Key] = entry.Value);

        void Add(bool when, params int[] statuses) => errors.AddRange(when ? statuses : []);
    }

    private static void AddHeaders(OpenApiOperation operation, ApiDescription endpoint)
    {
        var answers = operation.Responses!;
        if (IsRevalidated(endpoint))
        {
            answers["304"] = new OpenApiResponse { Description = "What is shown has not changed." };
        }

        foreach (var (status, response) in answers)
        {
            bool success = status[0] == '2';
            var headers = ((OpenApiResponse)response).Headers ??= new Dictionary<string, IOpenApiHeader>();
            Add(status is "200" or "201" or "304"
                && (IsRevalidated(endpoint) || Has<ConditionalMetadata>(endpoint) || status == "201"), "ETag",
                "\"revision.representation\": the first is what If-Match compares, the whole what If-None-Match does.");
            Add(status is "201" or "202", "Location", "Where what was made is read.");
            Add(status is "401" or "403", "WWW-Authenticate", "What the caller lacks (RFC 6750 §3).");
            Add(status is "412", "ETag", "How the resource stands now.");
            Add(status is "415", "Accept", "Content types that are read.");
            Add(status is "429" or "503", "Retry-After", "Seconds.");
            Add(success && Has<IdempotentMetadata>(endpoint), "Idempotency-Replayed", "true on an answer that was given before.");
            foreach (var header in endpoint.ActionDescriptor.EndpointMetadata.OfType<AnswerHeader>())
            {
                Add(success, header.Name, header.Description);
            }

            if (headers.Count == 0)
            {
                ((OpenApiResponse)response).Headers = null;
            }

            void Add(bool when, string name, string description)
            {
                if (when)
                {
                    headers[name] = new OpenApiHeader { Description = description,
                        Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
                }
            }
        }
    }

    private static bool IsRevalidated(ApiDescription endpoint) =>
        Has<Revalidated>(endpoint)
            || endpoint.ActionDescriptor.EndpointMetadata.OfType<QueryRules>()
                .Any(rules => rules.Parameters.Contains(Answers.FieldsParameter));

    private static bool Has<T>(ApiDescription endpoint) => endpoint.ActionDescriptor.EndpointMetadata.OfType<T>().Any();
}
