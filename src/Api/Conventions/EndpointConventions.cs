using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using WebVm.Api.Identity;

namespace WebVm.Api.Conventions;

/// <summary>What endpoints declare about themselves.</summary>
public static class EndpointConventions
{
    public const string ScopePolicyPrefix = "scope:";

    /// <summary>Only callers with the scope get in; everyone else 401 or 403.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder builder, string scope)
        where TBuilder : IEndpointConventionBuilder =>
        builder.RequireAuthorization(ScopePolicyPrefix + scope);

    /// <summary>Lets endpoints that answer by key read a request's body twice. Behind routing, in front of everything that reads.</summary>
    public static void UseIdempotency(this IApplicationBuilder app) => app.Use((context, next) =>
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<KeepsBody>() is not null && context.Request.Headers.ContainsKey(IdempotencyFilter.Header))
        {
            context.Request.EnableBuffering();
        }

        return next(context);
    });

    public static void AddScopePolicies(this AuthorizationOptions options)
    {
        foreach (string scope in Scopes.All)
        {
            options.AddPolicy(ScopePolicyPrefix + scope, policy => policy.RequireAuthenticatedUser().RequireClaim(Principals.ScopeClaim, scope));
        }

        options.FallbackPolicy = new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build();
    }

    /// <summary>The answer of a POST is remembered by its Idempotency-Key and given again.</summary>
    public static RouteHandlerBuilder Idempotent(this RouteHandlerBuilder builder) =>
        builder.AddEndpointFilter<IdempotencyFilter>().WithMetadata(KeepsBody.Instance);

    private sealed class KeepsBody
    {
        public static KeepsBody Instance { get; } = new();
    }
}
