namespace WebVm.Api.Identity;

/// <summary>Origins of other sites' pages that may use the API with a token.</summary>
public sealed record AllowedOrigins(IReadOnlyList<string> Origins)
{
    public bool Contains(string origin) => Origins.Contains(origin, StringComparer.OrdinalIgnoreCase);
}
