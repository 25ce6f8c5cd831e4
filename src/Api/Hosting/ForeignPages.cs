using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Cors.Infrastructure;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Net.Http.Headers;
using WebVm.Api.Console;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Images;

namespace WebVm.Api.Hosting;

/// <summary>
/// Pages of other origins that may use the API (CORS, WHATWG Fetch §3.3). They sign in with a token: a browser does not send its cookie
/// there, and
/// <see cref="CrossSiteGuard"/> refuses it if it does.
/// </summary>
internal static class ForeignPages
{
    // A preflight's answer changes with a setting of the service alone.
    private static readonly TimeSpan PreflightLifetime = TimeSpan.FromHours(1);

    /// <exception cref="FormatException">An origin is none.</exception>
    public static IReadOnlyList<string> Parse(string? origins) =>
        [.. (origins ?? "").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(Origin)];

    public static void Add(IServiceCollection services, IReadOnlyList<string> origins)
    {
        services.AddSingleton(new AllowedOrigins(origins));
        services.AddCors(cors => cors.AddDefaultPolicy(Configure));

        void Configure(CorsPolicyBuilder policy) => policy
            .WithOrigins([.. origins]).AllowAnyMethod().AllowAnyHeader().SetPreflightMaxAge(PreflightLifetime)
            .WithExposedHeaders(
                HeaderNames.ETag, HeaderNames.Location, HeaderNames.Allow, HeaderNames.RetryAfter, HeaderNames.WWWAuthenticate,
                "Idempotency-Replayed", ImageEndpoints.OffsetHeader, SerialEndpoints.OffsetHeader, SerialEndpoints.EndHeader);
    }

    /// <summary>Behind routing, so that only the API has it; in front of everything that refuses, so that a page can read why.</summary>
    public static void Use(IApplicationBuilder app, IReadOnlyList<string> origins)
    {
        if (origins.Count > 0)
        {
            app.UseWhen(
                context => context.Request.Path.StartsWithSegments("/api") || context.Request.Path.StartsWithSegments("/openapi"),
                api => api.UseCors());
        }
    }

    private static string Origin(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            && uri.GetLeftPart(UriPartial.Authority) is var origin && origin.Equals(text.TrimEnd('/'), StringComparison.OrdinalIgnoreCase)
            ? origin
            : throw new FormatException($"\"{text}\" in WEBVM_CORS_ORIGINS is no origin such as https://tools.example.");
}
