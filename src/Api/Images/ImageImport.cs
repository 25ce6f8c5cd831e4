using System.Net;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Images;

/// <summary>Fetches an image from a URL: bounded in size, checked against its checksum, with progress and cancel.</summary>
internal sealed class ImageImport(
    IDbContextFactory<WebVmDbContext> databases, ImageStore store, ImageVerification verification, IHttpClientFactory clients,
    IOptions<ServiceOptions> options) : IOperationHandler
{
    public const string OperationKind = "image.import";
    public const string ClientName = "image-import";

    // The rest is the checksum.
    private const int FetchPercent = 90;

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.Input<Job>().ImageId;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var image = await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation)
            ?? throw new OperationFailedException("The image was deleted.");
        if (image.State == ImageState.Ready)
        {
            return null;
        }

        try
        {
            store.Create(id);
            await FetchAsync(image, operation, cancellation);
            image.ReceivedBytes = image.Bytes;
            await verification.VerifyAsync(database, image, operation, FetchPercent, cancellation);
        }
        catch (Exception failure) when (failure is HttpRequestException or ImageTooLargeException or IOException
            or OperationFailedException)
        {
            throw await verification.FailAsync(id, failure);
        }

        return new { image.Bytes, image.Sha256 };
    }

    public Task GiveUpAsync(OperationContext operation) =>
        verification.EndAsync(operation.Input<Job>().ImageId, "The import was cancelled.");

    private async Task FetchAsync(Image image, OperationContext operation, CancellationToken cancellation)
    {
        using var client = clients.CreateClient(ClientName);
        using var answer = await client.GetAsync(image.SourceUrl, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (answer.StatusCode != HttpStatusCode.OK)
        {
            throw new OperationFailedException($"The server answered {(int)answer.StatusCode} {answer.ReasonPhrase}.");
        }

        long limit = Math.Min(image.Bytes > 0 ? image.Bytes : long.MaxValue, options.Value.MaxImageBytes);
        long? announced = answer.Content.Headers.ContentLength;
        if (announced > limit)
        {
            throw new ImageTooLargeException(limit);
        }

        if (File.Exists(store.Content(image.Id)))
        {
            File.Delete(store.Content(image.Id));
        }

        await using var body = await answer.Content.ReadAsStreamAsync(cancellation);
        image.Bytes = await store.AppendAsync(
            image.Id, 0, body, limit, done => operation.ReportAsync(
                announced > 0 ? (int)(done * FetchPercent / announced.Value) : 0, $"{done} bytes"),
            cancellation);
    }

    public sealed record Job(Guid ImageId);
}
