using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Hosting;

/// <summary>Headers that keep a browser from doing with our answers what they are not for.</summary>
public sealed class SecurityHeaders(RequestDelegate next)
{
    // Styles: xterm.js and Blazor set inline style attributes. Images: screenshots are blob: and data: URLs.
    private const string Policy =
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; "
        + "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

    public Task InvokeAsync(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        return next(context);
    }
}
