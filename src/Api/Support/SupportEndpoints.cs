using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;

namespace WebVm.Api.Support;

/// <summary><c>/support-bundle</c>: what helps those who are to help.</summary>
public static class SupportEndpoints
{
    public static void MapSupport(this IEndpointRouteBuilder api) =>
        api.MapGet("/support-bundle", ReadAsync).RequireScope(Scopes.Admin).WithTags("Support")
            .Produces<byte[]>(StatusCodes.Status200OK, "application/zip")
            .WithSummary("Download a support bundle: versions, doctor, ends of logs, events; no secrets");

    // A few MiB at most: the ends of logs are bounded, and their number.
    private static async Task<FileContentHttpResult> ReadAsync(SupportBundle bundle, CancellationToken cancellation)
    {
        using var zip = new MemoryStream();
        await bundle.WriteAsync(zip, cancellation);
        return TypedResults.File(zip.ToArray(), "application/zip", bundle.FileName);
    }
}
