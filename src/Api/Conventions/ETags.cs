using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace WebVm.Api.Conventions;

/// <summary>Entity tags from a resource's revision (RFC 9110 §8.8.3) and the preconditions on them.</summary>
public static class ETags
{
    public static string Of(long revision) => $"\"{revision}\"";

    public static void SetETag(this HttpResponse response, long revision) => response.Headers.ETag = Of(revision);

    /// <summary>Null, or the 412 answer when If-Match names another revision.</summary>
    public static ProblemHttpResult? CheckIfMatch(this HttpRequest request, long revision)
    {
        var wanted = request.GetTypedHeaders().IfMatch;
        if (wanted.Count == 0)
        {
            return request.Headers.IfMatch.Count == 0 ? null : Problems.BadRequest("If-Match is not a list of entity tags.");
        }

        string current = Of(revision);
        return wanted.Any(tag => tag.Equals(EntityTagHeaderValue.Any) || (!tag.IsWeak && tag.Tag == current)) ? null : Problems.PreconditionFailed(current);
    }
}
