using Microsoft.AspNetCore.Components.Authorization;
using WebVm.Api.Hosting;
using WebVm.Web.Components;
using WebVm.Web.InProcess;
using WebVm.Web.Live;
using WebVm.Web.Reading;

namespace WebVm.Web;

/// <summary>Composition of the pages: what <c>Program</c> adds and maps.</summary>
internal static class PagesSetup
{
    /// <summary>How long the service is silent towards an open page at most; page/blazor.ts waits for three of these.</summary>
    private static readonly TimeSpan SignOfLife = TimeSpan.FromSeconds(5);

    public static void AddPages(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddRazorComponents().AddInteractiveServerComponents().AddHubOptions(circuit => circuit.KeepAliveInterval = SignOfLife);
        services.AddAntiforgery(antiforgery => antiforgery.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest);
        services.AddCascadingAuthenticationState();
        services.AddScoped<AuthenticationStateProvider, SessionRevalidation>();
        services.AddSingleton<Assets>();
        services.AddSingleton<InProcessPipeline>();
        services.AddSingleton<LiveEvents>();
        services.AddHostedService(provider => provider.GetRequiredService<LiveEvents>());
        services.AddScoped<ApiClient>();
        services.AddScoped<Toasts>();
        services.AddSingleton<NameIndex>();
        services.AddSingleton<OwnPassword>();
    }

    /// <summary>Scripts, styles and icons: for everyone, for the sign-in page needs them.</summary>
    public static void UsePublicFiles(this WebApplication app) => app.UseWhen(
        context => HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method),
        branch => branch.UseMiddleware<SecurityHeaders>().UseMiddleware<CompressedAnswers>()
            .UseStaticFiles(app.Services.GetRequiredService<Assets>().Options));

    /// <summary>A page that is not there says so as a page.</summary>
    public static void UseNotFoundPage(this WebApplication app) =>
        app.UseWhen(context => context.WantsPage(), people => people.UseStatusCodePagesWithReExecute("/not-found"));

    public static void UsePages(this WebApplication app)
    {
        app.UseAntiforgery();
        app.UseSwaggerUI(page =>
        {
            page.RoutePrefix = "api-explorer";
            page.HeadContent = """<meta name="viewport" content="width=device-width, initial-scale=1"><script src="/js/api-explorer.js"></script>""";
            page.DocumentTitle = "WebVm REST API";
            page.SwaggerEndpoint("/openapi/v1.json", "WebVm API v1");
            page.InjectStylesheet("/css/tokens.css");
            page.InjectStylesheet("/css/api-explorer.css");
            page.EnableFilter();
            page.DisplayRequestDuration();
            page.EnableTryItOutByDefault();
        });
    }

    public static void MapPages(this WebApplication app)
    {
        app.MapRazorComponents<App>().AddInteractiveServerRenderMode();
    }
}
