using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>How callers are told what they lack (RFC 9110 §11.6.1, RFC 6750 §3).</summary>
internal static class Challenges
{
    public const string Bearer = "Bearer realm=\"webvm\"";

    /// <summary>For a token that was sent and is none.</summary>
    public const string InvalidToken = Bearer + ", error=\"invalid_token\"";

    /// <summary>Names the scope that the endpoint wants, where it wants one that the caller has not.</summary>
    public static void NameScope(ProblemDetailsContext context)
    {
        string[] missing = [.. (context.HttpContext.GetEndpoint()?.Metadata.GetOrderedMetadata<IAuthorizeData>() ?? [])
            .Where(wanted => wanted.Policy?.StartsWith(EndpointConventions.ScopePolicyPrefix, StringComparison.Ordinal) == true)
            .Select(wanted => wanted.Policy![EndpointConventions.ScopePolicyPrefix.Length..])
            .Where(scope => !context.HttpContext.User.HasClaim(EndpointConventions.ScopeClaim, scope)).Distinct(StringComparer.Ordinal)];
        if (missing.Length > 0)
        {
            string scopes = string.Join(' ', missing);
            context.HttpContext.Response.Headers.WWWAuthenticate = $"{Bearer}, error=\"insufficient_scope\", scope=\"{scopes}\"";
            context.ProblemDetails.Detail = $"This needs the scope {scopes}.";
        }
    }
}
