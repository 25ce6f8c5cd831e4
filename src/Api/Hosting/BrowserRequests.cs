using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Hosting;

/// <summary>Tells people from programs.</summary>
public static class BrowserRequests
{
    /// <summary>Whether a person asks for a page, and so wants to read what went wrong rather than parse it.</summary>
    public static bool WantsPage(this HttpContext context) =>
        HttpMethods.IsGet(context.Request.Method)
        && context.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal)
        && !context.Request.Path.StartsWithSegments("/api");
}
