using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;

namespace WebVm.Api.Conventions;

/// <summary>
/// Writes the JSON of good answers, of every resource in one place: the wanted fields alone, with an entity tag of what is shown, and 304
/// for who has it already.
/// </summary>
internal sealed class Answers : IEndpointFilter
{
    // Of a hash: enough that two representations of one resource never share a tag.
    private const int TagBytes = 8;

    public static QueryParameter FieldsParameter { get; } =
        new("fields", typeof(string), "Names of the fields to return, separated by commas; of a list, of its items. All unless told.");

    /// <summary>What a reading endpoint answers as JSON; null for all others.</summary>
    public static Type? Type(EndpointBuilder builder) =>
        builder.Metadata.OfType<IHttpMethodMetadata>().Any(methods => methods.HttpMethods.Contains(HttpMethods.Get))
            ? builder.Metadata.OfType<IProducesResponseTypeMetadata>()
                .FirstOrDefault(
                    answer => answer.StatusCode == StatusCodes.Status200OK && answer.ContentTypes.Contains(BodyBytes.Json)
                        && answer.Type is { } type && type != typeof(string) && type != typeof(Stream))?.Type
            : null;

    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        object? answer = await next(context);
        object? inner = answer;
        while (inner is INestedHttpResult nested)
        {
            inner = nested.Result;
        }

        var request = context.HttpContext.Request;
        bool reads = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method);
        if (inner is not IValueHttpResult { Value: { } value }
            || inner is not IStatusCodeHttpResult { StatusCode: StatusCodes.Status200OK or StatusCodes.Status201Created } status)
        {
            return answer;
        }

        // What has no revision and is not read has no tag.
        if (!reads && context.HttpContext.Response.Headers.ETag.Count == 0)
        {
            return answer;
        }

        string[]? fields = reads && request.Query.TryGetValue(FieldsParameter.Name, out var wanted)
            ? wanted.ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            : null;
        if (fields is not null && Selection.Unknown(value, fields) is { } fault)
        {
            context.HttpContext.Response.Headers.ETag = default;
            return Problems.Invalid([fault]);
        }

        return new Representation(value, status.StatusCode.Value, Location(inner), fields);
    }

    private static string? Location(object result) =>
        result.GetType() is { IsGenericType: true } type
            && type.GetGenericTypeDefinition() == typeof(Microsoft.AspNetCore.Http.HttpResults.Created<>)
        ? (string?)type.GetProperty("Location")!.GetValue(result) : null;

    private sealed class Representation(object value, int status, string? location, string[]? fields) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            var (request, response) = (httpContext.Request, httpContext.Response);
            using var bytes = new PooledBytes();
            using (var writer = new Utf8JsonWriter(
                bytes, new JsonWriterOptions { SkipValidation = true, Encoder = ApiJson.Options.Encoder }))
            {
                if (fields is null)
                {
                    JsonSerializer.Serialize(writer, value, value.GetType(), ApiJson.Options);
                }
                else
                {
                    Selection.Write(writer, value, fields);
                }
            }

            string tag = ETags.Of(response.Headers.ETag, Hash(bytes.Written.Span));
            response.Headers.ETag = tag;
            if (response.Headers.CacheControl.Count == 0)
            {
                // Kept by the client alone, and asked for again each time.
                response.Headers.CacheControl = "private, no-cache";
            }

            if (location is null && status == StatusCodes.Status200OK
                && (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)) && request.IsKnown(tag))
            {
                response.StatusCode = StatusCodes.Status304NotModified;
                return;
            }

            response.StatusCode = status;
            response.Headers.Location = location;
            response.ContentType = "application/json; charset=utf-8";
            response.ContentLength = bytes.Written.Length;
            if (!HttpMethods.IsHead(request.Method))
            {
                await response.Body.WriteAsync(bytes.Written, httpContext.RequestAborted);
            }
        }

        private static string Hash(ReadOnlySpan<byte> content)
        {
            Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
            SHA256.HashData(content, hash);
            return Convert.ToHexStringLower(hash[..TagBytes]);
        }
    }
}

/// <summary>Some fields of an answer, or of the items of a page.</summary>
internal static class Selection
{
    /// <summary>Null when the answer has all of the fields.</summary>
    public static FieldFault? Unknown(object value, string[] fields)
    {
        var type = TypeOf(value);
        string[] unknown = [.. fields.Where(field => Find(type, field) is null)];
        return fields.Length == 0 ? new("?fields", "names no field")
            : unknown.Length > 0 ? new(
                "?fields", $"names {string.Join(", ", unknown)}; there are {string.Join(", ", Properties(type).Select(property => property.Name))}")
            : null;
    }

    public static void Write(Utf8JsonWriter writer, object value, string[] fields)
    {
        var properties = Properties(TypeOf(value)).Where(property => fields.Contains(property.Name, StringComparer.Ordinal)).ToArray();
        if (value is not IPage page)
        {
            WriteObject(writer, value, properties);
            return;
        }

        writer.WriteStartObject();
        writer.WriteStartArray("items");
        foreach (object? item in page.Items)
        {
            WriteObject(writer, item!, properties);
        }

        writer.WriteEndArray();
        writer.WriteString("nextCursor", page.NextCursor);
        writer.WriteEndObject();
    }

    private static void WriteObject(Utf8JsonWriter writer, object value, JsonPropertyInfo[] properties)
    {
        writer.WriteStartObject();
        foreach (var property in properties)
        {
            object? content = property.Get!(value);
            if (property.ShouldSerialize?.Invoke(value, content) ?? true)
            {
                writer.WritePropertyName(property.Name);
                JsonSerializer.Serialize(writer, content, property.PropertyType, ApiJson.Options);
            }
        }

        writer.WriteEndObject();
    }

    private static JsonTypeInfo TypeOf(object value) => ApiJson.Options.GetTypeInfo(value is IPage page ? page.ItemType : value.GetType());

    private static IEnumerable<JsonPropertyInfo> Properties(JsonTypeInfo type) =>
        type.Properties.Where(property => property.Get is not null);

    private static JsonPropertyInfo? Find(JsonTypeInfo type, string name) =>
        Properties(type).FirstOrDefault(property => property.Name == name);
}
