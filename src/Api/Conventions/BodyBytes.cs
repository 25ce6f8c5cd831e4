using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>The bytes of a JSON body.</summary>
internal static class BodyBytes
{
    public const string Json = "application/json";

    private const int Most = 1 << 20;

    private static readonly JsonDocumentOptions s_form = new() { MaxDepth = ApiJson.Options.MaxDepth };

    public static IResult None { get; } = Problems.BadRequest("The request needs a body.");

    /// <summary>Reads a body that is neither empty nor too large.</summary>
    /// <returns>The answer to any other; null when there is one.</returns>
    public static async ValueTask<IResult?> ReadAsync(HttpContext context, PooledBytes bytes, CancellationToken cancellation)
    {
        if (MediaTypes.Refusal(context.Request) is { } refusal)
        {
            return refusal;
        }

        int read;
        while ((read = await context.Request.Body.ReadAsync(bytes.GetMemory(), cancellation)) > 0)
        {
            bytes.Advance(read);
            if (bytes.Written.Length > Most)
            {
                return Problems.Create(ProblemTypes.TooLarge, $"The body has more than {Most} bytes.");
            }
        }

        return bytes.Written.IsEmpty ? None : null;
    }

    /// <summary>Without the mark that some editors put before UTF-8.</summary>
    public static ReadOnlyMemory<byte> Content(PooledBytes bytes) =>
        bytes.Written.Span.StartsWith(Encoding.UTF8.Preamble) ? bytes.Written[Encoding.UTF8.Preamble.Length..] : bytes.Written;

    /// <summary>Undefined, and a fault with line and column, for what is no JSON.</summary>
    public static JsonElement Parse(ReadOnlyMemory<byte> bytes, List<FieldFault> faults)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, s_form);
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
