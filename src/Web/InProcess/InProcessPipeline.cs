using System.Security.Claims;
using Microsoft.AspNetCore.Http.Features;
using WebVm.Api.Identity;

namespace WebVm.Web.InProcess;

/// <summary>
/// Runs requests through the service's own middleware and endpoints without a socket. The pages change things only this way: they
/// meet the same authorization, validation, preconditions and audit as every other client of the REST API, with what their session may now.
/// </summary>
public sealed class InProcessPipeline(IServiceScopeFactory scopes, StandingRights rights)
{
    private RequestDelegate? _next;

    /// <summary>Takes the pipeline from here on. Called once, first of all middleware.</summary>
    public void Capture(IApplicationBuilder app) => app.Use(next => _next = next);

    public async Task<InProcessResponse> SendAsync(InProcessRequest request, CancellationToken cancellation)
    {
        var pipeline = _next ?? throw new InvalidOperationException("The pipeline was not captured.");
        await using var scope = scopes.CreateAsyncScope();
        using var answer = new MemoryStream();
        var context = new DefaultHttpContext { RequestServices = scope.ServiceProvider, User = await rights.RenewAsync(
            request.Caller, cancellation), RequestAborted = cancellation };
        context.Connection.RemoteIpAddress = request.Address;
        context.Request.Method = request.Method;
        context.Request.Scheme = "http";
        context.Request.Host = new HostString("localhost");
        int query = request.Path.IndexOf('?', StringComparison.Ordinal);
        context.Request.Path = query < 0 ? request.Path : request.Path[..query];
        context.Request.QueryString = query < 0 ? QueryString.Empty : new QueryString(request.Path[query..]);
        context.Request.Headers.Accept = "application/json";
        foreach (var (name, value) in request.Headers)
        {
            context.Request.Headers[name] = value;
        }

        if (request.Body is { } body)
        {
            context.Request.Body = new MemoryStream(body);
            context.Request.ContentType = request.ContentType;
            context.Request.ContentLength = body.Length;
            context.Features.Set<IHttpRequestBodyDetectionFeature>(BodyIsThere.Instance);
        }

        context.Response.Body = answer;
        await pipeline(context);
        await context.Response.CompleteAsync();
        return new(context.Response.StatusCode, answer.ToArray(), context.Response.Headers.ETag);
    }

    private sealed class BodyIsThere : IHttpRequestBodyDetectionFeature
    {
        public static BodyIsThere Instance { get; } = new();

        public bool CanHaveBody => true;
    }
}

/// <param name="Path">Path and query.</param>
/// <param name="Address">Where the person is who asks, for the audit.</param>
public sealed record InProcessRequest(
    ClaimsPrincipal Caller, string Method, string Path, byte[]? Body, string? ContentType, IReadOnlyDictionary<string, string> Headers,
    System.Net.IPAddress? Address);

public sealed record InProcessResponse(int Status, byte[] Body, string? ETag);
