using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Images;

/// <summary>The end of every image's arrival, by upload or import: checked against its checksum and usable, or failed and gone.</summary>
internal sealed class ImageVerification(IDbContextFactory<WebVmDbContext> databases, ImageStore store, ImageHashing hashing)
    : IOperationHandler
{
    public const string OperationKind = "image.verify";

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.Input<ImageImport.Job>().ImageId;
        try
        {
            await using var database = await databases.CreateDbContextAsync(cancellation);
            var image = await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation)
                ?? throw new OperationCanceledException("The image was deleted.");
            switch (image.State)
            {
                case ImageState.Ready:
                    break;
                case ImageState.Failed:
                    // Said already, by a service that was killed before the operation had ended.
                    throw new OperationFailedException(image.Error ?? "The image could not be completed.");
                default:
                    await VerifyAsync(database, image, operation, 0, cancellation);
                    break;
            }

            return new { image.Bytes, image.Sha256 };
        }
        catch (Exception failure) when (failure is IOException or OperationFailedException)
        {
            throw await FailAsync(id, failure);
        }
    }

    public Task GiveUpAsync(OperationContext operation) =>
        EndAsync(operation.Input<ImageImport.Job>().ImageId, "The check of the image was cancelled.");

    /// <summary>
    /// Compares the checksum of all that was received with the one that was announced, if one was, and writes down that the image can be
    /// used.
    /// </summary>
    /// <param name="from">Percentage of the operation that is done before.</param>
    /// <exception cref="OperationFailedException">The checksum differs, or the image was deleted meanwhile.</exception>
    public async Task VerifyAsync(
        WebVmDbContext database, Image image, OperationContext operation, int from, CancellationToken cancellation)
    {
        string actual = await hashing.HashAsync(image.Id, operation, from, cancellation);
        if (image.Sha256 is not null && !image.Sha256.Equals(actual, StringComparison.OrdinalIgnoreCase))
        {
            throw new OperationFailedException($"The checksum is {actual}, not {image.Sha256}.");
        }

        // As it was given, if it was.
        image.Sha256 ??= actual;
        image.State = ImageState.Ready;
        image.Error = null;
        image.Revision++;
        database.Record("image.ready", $"/api/v1/images/{image.Id}", message: $"Image {image.Name} is ready");
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateConcurrencyException)
        {
            throw new OperationFailedException("The image was deleted.");
        }
    }

    /// <summary>Writes down why an image did not come about.</summary>
    /// <returns>The reason for the operation's user.</returns>
    public async Task<OperationFailedException> FailAsync(Guid id, Exception failure)
    {
        string reason = failure switch
        {
            HttpIOException => failure.Message,
            IOException disk => DiskTrouble.Describe(disk),
            _ => failure.Message,
        };
        await EndAsync(id, reason);
        return failure as OperationFailedException ?? new OperationFailedException(reason, failure);
    }

    /// <summary>
    /// An image that will not come about has failed, and its bytes are gone. Harmless when that is so already, and for one that can be
    /// used.
    /// </summary>
    public async Task EndAsync(Guid id, string reason)
    {
        await using var database = await databases.CreateDbContextAsync();
        bool useless = await database.InTransactionAsync(
            async () =>
            {
                var image = await database.Images.FromSql($"SELECT * FROM images WHERE id = {id} FOR UPDATE").SingleOrDefaultAsync();
                if (image is { State: not (ImageState.Ready or ImageState.Failed) })
                {
                    image.State = ImageState.Failed;
                    image.Error = reason;
                    image.Revision++;
                    database.Record("image.failed", $"/api/v1/images/{id}", message: reason);
                }

                return image is not { State: ImageState.Ready };
            },
            CancellationToken.None);
        if (useless)
        {
            store.Delete(id);
        }
    }
}
