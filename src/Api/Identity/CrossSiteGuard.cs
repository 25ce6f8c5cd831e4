using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Identity;

/// <summary>
/// Refuses requests that another site makes a signed-in browser send: any that changes something, and every WebSocket. A browser always
/// names the origin on those; programs send none, and authenticate by token.
/// </summary>
public sealed class CrossSiteGuard(RequestDelegate next)
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
        if ((!safe || socket) && foreign)
        {
            await TypedResults.Problem(statusCode: 403, title: "Cross-site request refused", detail: $"The request comes from {(origin.Length > 0 ? origin : site)}.").ExecuteAsync(context);
            return;
        }

        await next(context);
    }

    private static bool IsOwn(string origin, HttpRequest request) =>
        Uri.TryCreate(origin, UriKind.Absolute, out var uri) && string.Equals(uri.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase);
}
