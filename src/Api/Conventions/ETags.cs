using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace WebVm.Api.Conventions;

/// <summary>
/// Entity tags (RFC 9110 §8.8.3) and the preconditions on them. A tag is <c>"revision.representation"</c>: If-Match compares the revision,
/// which counts what clients have set, so that a guest that starts refuses nobody's change; If-None-Match on reading compares the whole.
/// Proxies that compress make a tag weak or add something to its end; it is still ours.
/// </summary>
public static class ETags
{
    private const char Separator = '.';

    public static string Of(long revision) => $"\"{revision}\"";

    /// <summary>Says which revision the answer shows; the representation is added when it is written.</summary>
    public static void SetETag(this HttpResponse response, long revision) => response.Headers.ETag = Of(revision);

    /// <param name="revision">As <see cref="SetETag"/> has set it; null for what has none.</param>
    internal static string Of(string? revision, string representation) =>
        revision is { Length: > 2 } ? $"{revision[..^1]}{Separator}{representation}\"" : $"\"{representation}\"";

    /// <summary>Null, or the 412 answer when If-Match names another revision, or If-None-Match this one.</summary>
    public static ProblemHttpResult? CheckIfMatch(this HttpRequest request, long revision)
    {
        var headers = request.GetTypedHeaders();
        if (Unreadable(request.Headers.IfMatch.Count, headers.IfMatch, HeaderNames.IfMatch) is { } unreadable)
        {
            return unreadable;
        }

        if (Unreadable(request.Headers.IfNoneMatch.Count, headers.IfNoneMatch, HeaderNames.IfNoneMatch) is { } none)
        {
            return none;
        }

        bool wanted = headers.IfMatch.Count == 0 || headers.IfMatch.Any(tag => Names(tag, revision));
        bool unwanted = headers.IfNoneMatch.Any(tag => Names(tag, revision));
        if (wanted && !unwanted)
        {
            return null;
        }

        request.HttpContext.Response.Headers.ETag = Of(revision);
        return Problems.PreconditionFailed(Of(revision));
    }

    /// <summary>Whether a reader has this very representation already (weak comparison, RFC 9110 §13.1.2).</summary>
    internal static bool IsKnown(this HttpRequest request, string tag) =>
        request.Headers.IfNoneMatch.Count > 0
            && request.GetTypedHeaders().IfNoneMatch.Any(
                known => known.Equals(EntityTagHeaderValue.Any)
                    || known.Tag.AsSpan().StartsWith(tag.AsSpan(0, tag.Length - 1), StringComparison.Ordinal));

    private static bool Names(EntityTagHeaderValue tag, long revision)
    {
        if (tag.Equals(EntityTagHeaderValue.Any))
        {
            return true;
        }

        var text = tag.Tag.AsSpan().Trim('"');
        int digits = text.IndexOfAnyExceptInRange('0', '9');
        return long.TryParse(digits < 0 ? text : text[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out long named)
            && named == revision
            && (digits < 0 || text[digits] is Separator or '-' or ';');
    }

    private static ProblemHttpResult? Unreadable(int given, IList<EntityTagHeaderValue> read, string header) =>
        given > 0 && read.Count == 0 ? Problems.BadRequest($"{header} is not a list of entity tags.") : null;
}
