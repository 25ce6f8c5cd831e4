using System.IO.Compression;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.ResponseCompression;
using Microsoft.Extensions.DependencyInjection;

namespace WebVm.Api.Hosting;

/// <summary>
/// Compresses what is text and no secret: answers of the API to reading, its description, scripts, styles. Pages are not: they have a
/// secret of their form beside words of others, which compression over TLS would give away by its length (BREACH). Streams are not: they
/// come when something happens.
/// </summary>
public sealed class CompressedAnswers(RequestDelegate next)
{
    // Below, headers cost more than is saved.
    private const int LeastBytes = 512;

    private static readonly string[] s_types = ["application/json", "application/problem+json", "application/javascript", "text/javascript",
        "text/css", "image/svg+xml", "application/wasm"];

    public static void Add(IServiceCollection services)
    {
        services.AddResponseCompression(compression =>
        {
            compression.EnableForHttps = true;
            compression.MimeTypes = s_types;
            compression.Providers.Add<BrotliCompressionProvider>();
            compression.Providers.Add<GzipCompressionProvider>();
        });
        services.AddSingleton<ReadingOnly>();
        services.Configure<BrotliCompressionProviderOptions>(brotli => brotli.Level = CompressionLevel.Fastest);
        services.Configure<GzipCompressionProviderOptions>(gzip => gzip.Level = CompressionLevel.Fastest);
    }

    public Task InvokeAsync(HttpContext context, ReadingOnly provider)
    {
        // A client that takes no encoding pays nothing.
        if (!HttpMethods.IsGet(context.Request.Method) || context.Request.Headers.AcceptEncoding.Count == 0)
        {
            return next(context);
        }

        context.Response.OnStarting(() =>
        {
            // Of two encodings of one answer each would be another representation: their tag is equal but for that (RFC 9110 §8.8.3.3).
            if (context.Response.Headers.ContentEncoding.Count > 0 && context.Response.Headers.ETag.ToString() is { Length: > 0 } tag
                && tag[0] == '"')
            {
                context.Response.Headers.ETag = "W/" + tag;
            }

            return Task.CompletedTask;
        });
        return new ResponseCompressionMiddleware(next, provider).Invoke(context);
    }

    /// <summary>Passes over what is too short.</summary>
    public sealed class ReadingOnly(IServiceProvider services, Microsoft.Extensions.Options.IOptions<ResponseCompressionOptions> options)
        : ResponseCompressionProvider(services, options)
    {
        public override bool ShouldCompressResponse(HttpContext context) =>
            context.Response.ContentLength is null or >= LeastBytes && base.ShouldCompressResponse(context);
    }
}
