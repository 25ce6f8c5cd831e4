using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Conventions;
using WebVm.Api.Settings;

namespace WebVm.Api.Identity;

/// <summary>Who somebody is, and what they may do.</summary>
internal static class IdentityModule
{
    public static void AddIdentity(this IServiceCollection services, ServiceOptions options)
    {
        services.AddHostedService<FirstUser>();
        services.AddDataProtection().PersistKeysToFileSystem(new DirectoryInfo(options.KeysFolder)).SetApplicationName("webvm");
        services.AddSingleton<SignInLinks>();
        services.AddSingleton<GuessLimits>();
        services.AddSingleton<DeviceCookies>();
        services.AddSingleton<StreamLimits>();
        services.AddSingleton<StandingRights>();
        services.AddSingleton<LiveRights>();
        services.AddHostedService(provider => provider.GetRequiredService<LiveRights>());
        services.AddSingleton<ConsoleTickets>();
        services.AddAuthentication("Any")
            .AddPolicyScheme("Any", null, scheme => scheme.ForwardDefaultSelector = context =>
                context.Request.Headers.Authorization.Count > 0
                    || (context.Request.Path.StartsWithSegments("/hubs") && context.Request.Query.ContainsKey("access_token"))
                    ? TokenAuthentication.SchemeName
                    : CookieSession.SchemeName)
            .AddScheme<AuthenticationSchemeOptions, TokenAuthentication>(TokenAuthentication.SchemeName, null)
            .AddCookie(CookieSession.SchemeName, CookieSession.Configure);
        services.AddAuthorization(authorization => authorization.AddScopePolicies());
    }

    public static void MapIdentity(this IEndpointRouteBuilder api)
    {
        api.MapSession();
        api.MapAccount();
        api.MapUsers();
        api.MapTokens();
    }

    private static void AddScopePolicies(this AuthorizationOptions options)
    {
        foreach (string scope in Scopes.All)
        {
            options.AddPolicy(
                EndpointConventions.ScopePolicyPrefix + scope,
                policy => policy.RequireAuthenticatedUser().RequireClaim(Principals.ScopeClaim, scope));
        }

        options.FallbackPolicy = new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build();
    }
}
