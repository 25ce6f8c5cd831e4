using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Net.Http.Headers;

namespace WebVm.Api.Conventions;

/// <summary>What a JSON body's Content-Type and Content-Encoding may say.</summary>
internal static class MediaTypes
{
    /// <summary>Null, or the 415 answer.</summary>
    public static ProblemHttpResult? Refusal(HttpRequest request)
    {
        var accepted = request.HttpContext.GetEndpoint()?.Metadata.GetMetadata<IAcceptsMetadata>()?.ContentTypes ?? [BodyBytes.Json];
        if (request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding and not "identity")
        {
            return Refuse(request, accepted, $"Bodies are read as they are, not in the content encoding {Quote(encoding)}.");
        }

        if (MediaTypeHeaderValue.TryParse(request.ContentType, out var type) && IsJson(type))
        {
            // RFC 8259 §8.1: JSON is UTF-8, of which ASCII is a part. A quoted value is the same value (RFC 9110 §5.6.6).
            string charset = HeaderUtilities.RemoveQuotes(type.Charset).ToString();
            return charset.Length == 0 || charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)
                || charset.Equals("us-ascii", StringComparison.OrdinalIgnoreCase)
                ? null
                : Refuse(request, accepted, $"JSON is read in UTF-8, not in the character set {Quote(charset)}.");
        }

        return Refuse(request, accepted);
    }

    /// <summary>The 415 answer to a content type that is not one of these.</summary>
    public static ProblemHttpResult Refuse(HttpRequest request, IReadOnlyList<string> accepted) =>
        Refuse(request, accepted, $"Content-Type is {(string.IsNullOrEmpty(request.ContentType) ? "missing" : Quote(request.ContentType))}; it must be {string.Join(" or ", accepted)}.");

    private static ProblemHttpResult Refuse(HttpRequest request, IReadOnlyList<string> accepted, string detail)
    {
        request.HttpContext.Response.Headers.Accept = string.Join(", ", accepted);
        return Problems.Create(ProblemTypes.UnsupportedMediaType, detail);
    }

    private static bool IsJson(MediaTypeHeaderValue type) =>
        type.MediaType.Equals(BodyBytes.Json, StringComparison.OrdinalIgnoreCase)
            || (type.Type.Equals("application", StringComparison.OrdinalIgnoreCase)
                && type.Suffix.Equals("json", StringComparison.OrdinalIgnoreCase));

    private static string Quote(string text) => $"\"{(text.Length > 100 ? text[..100] : text)}\"";
}
