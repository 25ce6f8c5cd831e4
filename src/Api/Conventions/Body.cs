using System.Buffers;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Net.Http.Headers;

namespace WebVm.Api.Conventions;

/// <summary>A body whose values can be wrong though their form is right.</summary>
internal interface ICheckedBody
{
    /// <summary>Adds every fault that shows without a change being tried.</summary>
    ValueTask CheckAsync(BodyCheck check);
}

/// <summary>A request's body as <see cref="BodyFilter"/> meets it.</summary>
internal interface IBody
{
    /// <summary>The answer to a body that is none; null when there is one.</summary>
    IResult? Refusal { get; }

    object? Content { get; }

    List<FieldFault> Faults { get; }
}

/// <summary>Types that answers show and whose fields may be sent back with a change: what cannot be set is passed over.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class ShownAsAttribute(Type view) : Attribute
{
    public Type View { get; } = view;
}

/// <summary>The JSON body of a request. Endpoints see it only when it is sound.</summary>
public sealed class Body<T> : IBody, IEndpointParameterMetadataProvider
    where T : class
{
    private Body(T? content, List<FieldFault> faults, IResult? refusal) => (Content, Faults, Refusal) = (content, faults, refusal);

    public T Value => Content!;

    internal T? Content { get; }

    internal List<FieldFault> Faults { get; }

    internal IResult? Refusal { get; }

    IResult? IBody.Refusal => Refusal;

    object? IBody.Content => Content;

    List<FieldFault> IBody.Faults => Faults;

    /// <summary>Called by ASP.NET Core's binding.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1000", Justification = "Binding looks for it here.")]
    public static async ValueTask<Body<T>> BindAsync(HttpContext context, ParameterInfo parameter)
    {
        var (bytes, refusal) = await BodyBytes.ReadAsync(context, context.RequestAborted);
        using (bytes)
        {
            if (refusal is not null)
            {
                return new(null, [], refusal);
            }

            var faults = new List<FieldFault>();
            var content = JsonBody.Read(bytes!.Content, faults, static span => JsonSerializer.Deserialize<T>(span, ApiJson.Options), static (json, faults) =>
                (T?)JsonForm.Read(json, typeof(T), typeof(T).GetCustomAttribute<ShownAsAttribute>()?.View, faults));
            return content is null && faults.Count == 0 ? new(null, faults, BodyBytes.None) : new(content, faults, null);
        }
    }

    static void IEndpointParameterMetadataProvider.PopulateMetadata(ParameterInfo parameter, EndpointBuilder builder) => builder.Metadata.Add(new AcceptsMetadata([BodyBytes.Json], typeof(T)));
}

/// <summary>A JSON Merge Patch (RFC 7396) of settings of one type.</summary>
public sealed class Patch<T> : IBody, IEndpointParameterMetadataProvider
    where T : class
{
    public const string MergePatchType = "application/merge-patch+json";

    private Patch(JsonElement json, List<FieldFault> faults, IResult? refusal) => (Json, Faults, Refusal) = (json, faults, refusal);

    /// <summary>An object without members that are given twice.</summary>
    public JsonElement Json { get; }

    internal List<FieldFault> Faults { get; }

    internal IResult? Refusal { get; }

    IResult? IBody.Refusal => Refusal;

    object? IBody.Content => null;

    List<FieldFault> IBody.Faults => Faults;

    /// <summary>Called by ASP.NET Core's binding.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1000", Justification = "Binding looks for it here.")]
    public static async ValueTask<Patch<T>> BindAsync(HttpContext context, ParameterInfo parameter)
    {
        var (bytes, refusal) = await BodyBytes.ReadAsync(context, context.RequestAborted);
        using (bytes)
        {
            if (refusal is not null)
            {
                return new(default, [], refusal);
            }

            var faults = new List<FieldFault>();
            var json = JsonBody.Parse(bytes!.Content, faults);
            if (faults.Count == 0 && json.ValueKind != JsonValueKind.Object)
            {
                faults.Add(new("", "must be a JSON object"));
            }

            JsonForm.FindDuplicates(json, "", faults);
            return new(json, faults, null);
        }
    }

    static void IEndpointParameterMetadataProvider.PopulateMetadata(ParameterInfo parameter, EndpointBuilder builder)
    {
        builder.Metadata.Add(new AcceptsMetadata([MergePatchType, BodyBytes.Json], typeof(T)));
        builder.Metadata.Add(PatchMetadata.Instance);
    }
}

/// <summary>Marks endpoints whose body is a part of its type.</summary>
internal sealed class PatchMetadata
{
    public static PatchMetadata Instance { get; } = new();
}

/// <summary>JSON from bytes: good bodies by the serializer alone, others looked at closely.</summary>
internal static class JsonBody
{
    private static readonly JsonDocumentOptions s_lenient = new() { MaxDepth = ApiJson.Options.MaxDepth };

    public delegate T? Deserialization<T>(ReadOnlySpan<byte> json);

    public static T? Read<T>(ReadOnlyMemory<byte> bytes, List<FieldFault> faults, Deserialization<T> quick, Func<JsonElement, List<FieldFault>, T?> close)
        where T : class
    {
        try
        {
            return quick(bytes.Span);
        }
        catch (JsonException)
        {
            var json = Parse(bytes, faults);
            return faults.Count > 0 ? null : close(json, faults);
        }
    }

    /// <summary>Undefined, and a fault with line and column, for what is no JSON.</summary>
    public static JsonElement Parse(ReadOnlyMemory<byte> bytes, List<FieldFault> faults)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, s_lenient);
            return document.RootElement.Clone();
        }
        catch (JsonException failure)
        {
            long line = (failure.LineNumber ?? 0) + 1;
            long column = (failure.BytePositionInLine ?? 0) + 1;
            faults.Add(new("", $"is not JSON at line {line}, column {column}") { Line = line, Column = column });
            return default;
        }
    }
}

/// <summary>The bytes of a JSON body, in memory that is used again.</summary>
internal sealed class BodyBytes : IDisposable
{
    public const string Json = "application/json";

    private const int Most = 1 << 20;
    private const int FirstBytes = 4096;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstBytes);
    private int _length;

    public static IResult None { get; } = Problems.BadRequest("The request needs a body.");

    /// <summary>Without the mark that some editors put before UTF-8.</summary>
    public ReadOnlyMemory<byte> Content
    {
        get
        {
            var all = _buffer.AsMemory(0, _length);
            return all.Span.StartsWith(Encoding.UTF8.Preamble) ? all[Encoding.UTF8.Preamble.Length..] : all;
        }
    }

    public static async ValueTask<(BodyBytes? Bytes, IResult? Refusal)> ReadAsync(HttpContext context, CancellationToken cancellation)
    {
        if (MediaTypes.Refusal(context.Request) is { } refusal)
        {
            return (null, refusal);
        }

        var bytes = new BodyBytes();
        int read;
        while ((read = await context.Request.Body.ReadAsync(bytes._buffer.AsMemory(bytes._length), cancellation)) > 0)
        {
            bytes._length += read;
            if (bytes._length > Most)
            {
                bytes.Dispose();
                return (null, Problems.Create(ProblemTypes.TooLarge, $"The body has more than {Most} bytes."));
            }

            if (bytes._length == bytes._buffer.Length)
            {
                bytes.Grow();
            }
        }

        if (bytes._length > 0)
        {
            return (bytes, null);
        }

        bytes.Dispose();
        return (null, None);
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private void Grow()
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(2 * _buffer.Length);
        _buffer.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}

/// <summary>Refuses, before an endpoint does anything, a body that has faults, and names all of them.</summary>
internal sealed class BodyFilter : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        foreach (var body in context.Arguments.OfType<IBody>())
        {
            if (body.Refusal is { } refusal)
            {
                return refusal;
            }

            if (body.Content is ICheckedBody content)
            {
                await content.CheckAsync(new BodyCheck(context.HttpContext, body.Faults));
            }

            if (body.Faults.Count > 0)
            {
                return Problems.Invalid(body.Faults);
            }
        }

        return await next(context);
    }
}

/// <summary>Gathers what is wrong with a body. Of a field that is unsound already nothing more is said.</summary>
internal sealed class BodyCheck(HttpContext context, List<FieldFault> faults)
{
    private readonly string[] _unsound = [.. faults.Select(fault => fault.Pointer)];

    public HttpContext Context { get; } = context;

    /// <summary>Whether the field, and all of its fields, are of the right form.</summary>
    public bool IsSound(string pointer) => !_unsound.Any(bad => bad == pointer || bad.StartsWith(pointer + "/", StringComparison.Ordinal) || pointer.StartsWith(bad + "/", StringComparison.Ordinal));

    public void Add(IEnumerable<FieldFault> found) => faults.AddRange(found.Where(fault => IsSound(fault.Pointer)));
}
