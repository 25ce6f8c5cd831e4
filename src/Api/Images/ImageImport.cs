using System.Net;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Hosting;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Images;

/// <summary>Fetches an image from a URL: bounded in size, checked against its checksum, with progress and cancel.</summary>
internal sealed class ImageImport(IDbContextFactory<WebVmDbContext> databases, ImageStore store, IHttpClientFactory clients, IOptions<ServiceOptions> options) : IOperationHandler
{
    public const string OperationKind = "image.import";
    public const string ClientName = "image-import";

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.Input<Job>().ImageId;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var image = await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation) ?? throw new OperationFailedException("The image was deleted.");
        if (image.State == ImageState.Ready)
        {
            return null;
        }

        try
        {
            store.Create(id);
            await FetchAsync(image, operation, cancellation);
            image.ReceivedBytes = image.Bytes;
            await ImageVerification.VerifyAsync(database, image, store, cancellation);
        }
        catch (Exception failure) when (failure is HttpRequestException or ImageTooLargeException or IOException or OperationFailedException)
        {
            string reason = failure switch
            {
                HttpIOException => failure.Message,
                IOException disk => DiskTrouble.Describe(disk),
                _ => failure.Message,
            };
            await database.Images.Where(i => i.Id == id).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed).SetProperty(i => i.Error, reason), CancellationToken.None);
            store.Delete(id);
            throw new OperationFailedException(reason, failure);
        }

        return new { image.Bytes, image.Sha256 };
    }

    public async Task GiveUpAsync(OperationContext operation)
    {
        var id = operation.Input<Job>().ImageId;
        await using var database = await databases.CreateDbContextAsync();
        if (await database.Images.Where(i => i.Id == id && i.State != ImageState.Ready)
            .ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed).SetProperty(i => i.Error, "The import was cancelled.")) > 0)
        {
            store.Delete(id);
        }
    }

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
        image.Bytes = await store.AppendAsync(image.Id, 0, body, limit, done => operation.ReportAsync(announced > 0 ? (int)(done * 95 / announced.Value) : 0, $"{done} bytes"), cancellation);
    }

    public sealed record Job(Guid ImageId);
}

/// <summary>Checks a completely received image against its checksum, and makes it usable.</summary>
internal sealed class ImageVerification(IDbContextFactory<WebVmDbContext> databases, ImageStore store) : IOperationHandler
{
    public const string OperationKind = "image.verify";

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.Input<ImageImport.Job>().ImageId;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var image = await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation) ?? throw new OperationFailedException("The image was deleted.");
        await VerifyAsync(database, image, store, cancellation);
        return new { image.Bytes, image.Sha256 };
    }

    public static async Task VerifyAsync(WebVmDbContext database, Image image, ImageStore store, CancellationToken cancellation)
    {
        string actual = await store.HashAsync(image.Id, cancellation);
        bool matches = image.Sha256 is null || image.Sha256 == actual;
        image.State = matches ? ImageState.Ready : ImageState.Failed;
        image.Error = matches ? null : $"The checksum is {actual}, not {image.Sha256}.";
        image.Sha256 = matches ? actual : image.Sha256;
        image.Revision++;
        database.Record(matches ? "image.ready" : "image.failed", $"/api/v1/images/{image.Id}", message: image.Error ?? $"Image {image.Name} is ready");
        await database.SaveChangesAsync(cancellation);
        if (!matches)
        {
            store.Delete(image.Id);
            throw new OperationFailedException(image.Error!);
        }
    }
}
