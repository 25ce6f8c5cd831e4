using Microsoft.AspNetCore.Http;
using WebVm.Api.Conventions;

namespace WebVm.Api.Identity;

/// <summary>
/// Refuses requests that another site makes a signed-in browser send: any that changes something, and every WebSocket. A browser always
/// names the origin on those; programs send none, and authenticate by token.
/// </summary>
public sealed class CrossSiteGuard(RequestDelegate next, AllowedOrigins allowed)
{
    public async Task InvokeAsync(HttpContext context)
    {
        var request = context.Request;
        bool safe = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method);
        // The server knows of WebSockets only behind this middleware. Over HTTP/2 they are CONNECT (RFC 8441 §4), which is not safe.
        bool socket = string.Equals(request.Headers.Upgrade, "websocket", StringComparison.OrdinalIgnoreCase);
        string origin = request.Headers.Origin.ToString();
        string site = request.Headers["Sec-Fetch-Site"].ToString();
        bool foreign = (origin.Length > 0 && !IsOwn(origin, request)) || (site.Length > 0 && site is not ("same-origin" or "none"));
        // A page that the service's owner allows comes with a token: nothing that the browser adds by itself counts for it.
        bool welcome = !socket && allowed.Contains(origin) && request.Headers.Authorization.Count > 0;
        if ((!safe || socket) && foreign && !welcome)
        {
            await Problems.Create(ProblemTypes.CrossSite, Describe(origin, site, request)).ExecuteAsync(context);
            return;
        }

        await next(context);
    }

    // The scheme counts one way only: a proxy that speaks TLS may stand before a service that was not told of it, but what came
    // over TLS was not sent by a page that did not.
    private static bool IsOwn(string origin, HttpRequest request) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var uri)
        && string.Equals(uri.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase)
        && (!request.IsHttps || uri.Scheme == Uri.UriSchemeHttps);

    private static string Describe(string origin, string site, HttpRequest request) => origin.Length > 0
        ? $"The request comes from a page of {origin} and was sent to {request.Scheme}://{request.Host}. A reverse proxy has to pass the Host header on."
        : $"The request comes from a page of another site ({site}).";
}
