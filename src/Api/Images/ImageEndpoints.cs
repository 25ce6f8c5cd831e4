using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Identity;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Images;

/// <summary><c>/images</c>: what VMs boot from.</summary>
public static class ImageEndpoints
{
    /// <summary>Names as in the tus protocol: where the next byte belongs.</summary>
    public const string OffsetHeader = "Upload-Offset";

    private static readonly AnswerHeader s_offset = new(OffsetHeader, "Where the next byte belongs.");

    private static readonly ListOrders<Image> s_orders = new(
        all: true,
        ListOrder<Image>.ByName("name", image => image.Name),
        ListOrder<Image>.ByName("-name", image => image.Name, descending: true),
        ListOrder<Image>.ById("createdAt", image => image.Id),
        ListOrder<Image>.ById("-createdAt", image => image.Id, descending: true));

    public static void MapImages(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/images").WithTags("Images");
        group.MapGet("/", ListAsync).RequireScope(Scopes.ImagesRead).Sorts(s_orders).WithSummary("List images by name");
        group.MapGet("/{id:guid}", GetAsync).RequireScope(Scopes.ImagesRead).WithSummary("Read an image");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.ImagesWrite).Idempotent()
            .WithSummary("Announce an upload, or import from a URL")
            .WithDescription(
                "With url the service fetches the image: 202 and an operation. Without, the answer is 201 and the bytes are sent by "
                + "PATCH to /images/{id}/content.")
            .Produces<ImageView>(StatusCodes.Status201Created).ProducesOperation();
        group.MapPatch("/{id:guid}", PatchAsync).RequireScope(Scopes.ImagesWrite).Conditional()
            .WithSummary("Change name or description by JSON Merge Patch")
            .WithDescription(
                "An image that VMs boot from keeps its name (409), since they name it so; its description can be changed at any time.");
        group.MapMethods("/{id:guid}/content", ["HEAD"], HeadContentAsync).RequireScope(Scopes.ImagesWrite)
            .WithMetadata(s_offset, new AnswerHeader("Upload-Length", "Bytes of the whole image."))
                .WithSummary("Where an upload stands: Upload-Offset")
            .Produces(StatusCodes.Status204NoContent).ProducesProblem(StatusCodes.Status404NotFound);
        group.MapPatch("/{id:guid}/content", UploadAsync).RequireScope(Scopes.ImagesWrite).Conditional().WithMetadata(s_offset)
            .WithSummary("Send bytes from Upload-Offset on; resume after a break by asking with HEAD")
            .WithDescription(
                "The body is taken as it is, whatever its content type. With the last byte the answer is 202 and the operation that "
                + "checks the image: it tells how far it is, and cancelled it leaves a failed image. Few are checked at a time.")
            .Produces(StatusCodes.Status204NoContent).ProducesOperation().ProducesProblem(StatusCodes.Status413PayloadTooLarge)
                .ProducesProblem(StatusCodes.Status507InsufficientStorage);
        group.MapDelete("/{id:guid}", DeleteAsync).RequireScope(Scopes.ImagesWrite)
            .WithSummary("Delete an image that no VM uses; what is still at work on it is cancelled")
            .Conditional().Produces(StatusCodes.Status204NoContent).ProducesProblem(StatusCodes.Status404NotFound)
                .ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Results<Ok<Page<ImageView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitOfAllMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this name.")] string? name,
        Choice<ImageKind>? kind,
        CancellationToken cancellation)
    {
        var wanted = kind?.Value;
        var (page, refusal) = await s_orders.ReadAsync(
            database.Images.AsNoTracking().Where(i => (wanted == null || i.Kind == wanted) && (name == null || i.Name == name)),
            new PageRequest(limit, cursor, sort), cancellation);
        if (page is null)
        {
            return refusal!;
        }

        var uses = await ImageUse.ReadAsync(database, page.Items.Count == 1 ? page.Items[0].Name : null, cancellation);
        return TypedResults.Ok(page.Select(i => ImageView.From(i, uses.GetValueOrDefault(i.Name))));
    }

    private static async Task<Results<Ok<ImageView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Images.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, cancellation) is not { } image)
        {
            return Problems.NotFound("image", id);
        }

        response.SetETag(image.Revision);
        return TypedResults.Ok(
            ImageView.From(image, (await ImageUse.ReadAsync(database, image.Name, cancellation)).GetValueOrDefault(image.Name)));
    }

    private static async Task<IResult> CreateAsync(
        Body<CreateImage> body, HttpContext context, WebVmDbContext database, ImageStore store, OperationRunner operations,
        CancellationToken cancellation)
    {
        var request = body.Value;
        if (await OperationRunner.RefusalAsync(database, context, null, cancellation) is { } full)
        {
            return full;
        }

        var image = new Image
        {
            Name = request.Name,
            Kind = request.Kind,
            Description = request.Description ?? "",
            Bytes = request.Bytes ?? 0,
            Sha256 = request.Sha256,
            SourceUrl = request.Url,
        };
        database.Images.Add(image);
        var import = request.Url is null
            ? null
            : OperationRunner.Create(
                database, ImageImport.OperationKind, $"/api/v1/images/{image.Id}", null, context.User.Actor(),
                new ImageImport.Job(image.Id));
        database.Record("image.created", $"/api/v1/images/{image.Id}", message: $"Image {image.Name} was announced");
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return await NameTakenAsync(request.Name, database, cancellation);
        }

        store.Create(image.Id);
        if (import is not null)
        {
            return await operations.AcceptedAsync(context, import);
        }

        context.Response.SetETag(image.Revision);
        return TypedResults.Created($"/api/v1/images/{image.Id}", ImageView.From(image, null));
    }

    private static async Task<ProblemHttpResult> NameTakenAsync(string name, WebVmDbContext database, CancellationToken cancellation) =>
        Problems.NameTaken(
            "image", name, "/api/v1/images", await database.Images.AsNoTracking().Where(i => i.Name == name).Select(i => (Guid?)i.Id)
                .FirstOrDefaultAsync(cancellation));

    private static async Task<Results<Ok<ImageView>, ProblemHttpResult>> PatchAsync(
        Guid id, Patch<ImageSettings> patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        string wanted = "";
        try
        {
            var (image, refusal) = await database.InTransactionAsync(
                async () =>
                {
                    var (image, settings, refusal) = await PrepareAsync(id, patch, context, database, cancellation);
                    wanted = settings?.Name ?? "";
                    if (image is not null && settings is not null
                        && (image.Name != settings.Name || image.Description != settings.Description))
                    {
                        (image.Name, image.Description) = (settings.Name, settings.Description);
                        image.Revision++;
                        database.Record("image.changed", $"/api/v1/images/{id}", message: $"Image {image.Name} was changed");
                    }

                    return (image, refusal);
                },
                cancellation);
            if (image is null)
            {
                return refusal!;
            }

            context.Response.SetETag(image.Revision);
            return TypedResults.Ok(
                ImageView.From(image, (await ImageUse.ReadAsync(database, image.Name, cancellation)).GetValueOrDefault(image.Name)));
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return await NameTakenAsync(wanted, database, cancellation);
        }
    }

    /// <summary>The image, locked, with what it is to become; or why it cannot.</summary>
    private static async Task<(Image? Image, ImageSettings? Settings, ProblemHttpResult? Refusal)> PrepareAsync(
        Guid id, Patch<ImageSettings> patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Images.FromSql($"SELECT * FROM images WHERE id = {id} FOR UPDATE")
            .SingleOrDefaultAsync(cancellation) is not { } image)
        {
            return (null, null, Problems.NotFound("image", id));
        }

        if (context.Request.CheckIfMatch(image.Revision) is { } stale)
        {
            return (null, null, stale);
        }

        var faults = new List<FieldFault>();
        var settings = MergePatch.Apply(new ImageSettings(image.Name, image.Description), patch.Json, faults);
        await (settings?.CheckAsync(new BodyCheck(context, faults)) ?? ValueTask.CompletedTask);
        if (faults.Count > 0 || settings is null)
        {
            return (null, null, Problems.Invalid(faults));
        }

        bool changes = settings.Name != image.Name || settings.Description != image.Description;
        if (changes && image.BuiltIn)
        {
            return (null, null, Problems.Conflict("The image is part of WebVm."));
        }

        return settings.Name != image.Name
            && (await ImageUse.ReadAsync(database, image.Name, cancellation)).TryGetValue(image.Name, out var use)
            ? (null, null, Problems.Conflict($"The image is used by {use}, which name it so."))
            : (image, settings, null);
    }

    internal static List<FieldFault> Check(CreateImage request, long limit)
    {
        var faults = Names.Check("/name", request.Name).ToList();
        if (request.Kind == ImageKind.Bundle)
        {
            faults.Add(new("/kind", "must be kernel, initrd, disk or iso; bundles are built in"));
        }

        if (request.Description?.Length > ImageSettings.LongestDescription)
        {
            faults.Add(new("/description", $"has more than {ImageSettings.LongestDescription} characters"));
        }

        if (request.Sha256 is { } hash && (hash.Length != 64 || !hash.All(char.IsAsciiHexDigit)))
        {
            faults.Add(new("/sha256", "must be 64 hexadecimal digits"));
        }

        if (request.Url is null && request.Bytes is null)
        {
            faults.Add(new("/bytes", "is required for an upload"));
        }
        else if (request.Bytes is { } bytes && (bytes < 1 || bytes > limit))
        {
            faults.Add(new("/bytes", $"must be between 1 and {limit}"));
        }

        if (request.Url is { } url && !(Uri.TryCreate(url, UriKind.Absolute, out var parsed) && parsed.Scheme is "http" or "https"))
        {
            faults.Add(new("/url", "must be an http or https URL"));
        }
        else if (request.Url is { } address && new Uri(address).UserInfo.Length > 0)
        {
            // It is never sent, and shown to whoever may see images.
            faults.Add(new("/url", "must not have a name or password in it"));
        }

        return faults;
    }

    private static async Task<IResult> HeadContentAsync(
        Guid id, HttpResponse response, WebVmDbContext database, ImageStore store, CancellationToken cancellation)
    {
        if (await database.Images.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, cancellation) is not { } image)
        {
            return Problems.NotFound("image", id);
        }

        response.Headers[OffsetHeader] = store.ReceivedBytes(id).ToString(null, null);
        response.Headers["Upload-Length"] = image.Bytes.ToString(null, null);
        response.Headers.CacheControl = "no-store";
        return TypedResults.NoContent();
    }

    private static async Task<IResult> UploadAsync(
        Guid id, [FromHeader(Name = OffsetHeader), Description("Where these bytes belong: behind those that were received.")] long offset,
        HttpContext context, WebVmDbContext database, ImageStore store, OperationRunner operations, CancellationToken cancellation)
    {
        if (await database.Images.AsNoTracking().SingleOrDefaultAsync(i => i.Id == id, cancellation) is { } known
            && context.Request.CheckIfMatch(known.Revision) is { } stale)
        {
            return stale;
        }

        // Two that send the same bytes would each believe to have sent the last.
        using var claim = store.TryClaim(id);
        if (await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation) is not { } image)
        {
            return Problems.NotFound("image", id);
        }

        if (claim is null)
        {
            return Problems.Conflict("Another request is sending bytes of the image.");
        }

        if (image.State != ImageState.Receiving || image.SourceUrl is not null)
        {
            return Problems.Conflict("The image is not waiting for an upload.");
        }

        long received = store.ReceivedBytes(id);
        if (offset != received)
        {
            context.Response.Headers[OffsetHeader] = received.ToString(null, null);
            return Problems.Conflict($"The next byte belongs at offset {received}.");
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            // The server counts the framing of chunks as well; what is appended has its own bound.
            size.MaxRequestBodySize = context.Request.ContentLength is null ? null : image.Bytes - offset;
        }

        try
        {
            received = await store.AppendAsync(id, offset, context.Request.Body, image.Bytes, null, cancellation);
        }
        catch (ImageTooLargeException failure)
        {
            return Problems.Create(ProblemTypes.TooLarge, failure.Message);
        }
        catch (IOException failure) when (failure is not BadHttpRequestException && !cancellation.IsCancellationRequested)
        {
            return Problems.Create(
                ProblemTypes.Storage, $"{DiskTrouble.Describe(failure)} What was received before is kept: ask with HEAD, and go on from there.");
        }

        image.ReceivedBytes = received;
        Operation? verify = null;
        if (received == image.Bytes)
        {
            image.State = ImageState.Verifying;
            image.Revision++;
            verify = OperationRunner.Create(
                database, ImageVerification.OperationKind, $"/api/v1/images/{id}", null, context.User.Actor(), new ImageImport.Job(id));
        }

        try
        {
            await database.SaveChangesAsync(CancellationToken.None);
        }
        catch (DbUpdateConcurrencyException)
        {
            store.Delete(id);
            return Problems.NotFound("image", id);
        }

        context.Response.Headers[OffsetHeader] = received.ToString(null, null);
        claim.Dispose();
        return verify is null ? TypedResults.NoContent() : await operations.AcceptedAsync(context, verify);
    }

    private static async Task<IResult> DeleteAsync(
        Guid id, HttpContext context, WebVmDbContext database, ImageStore store, OperationRunner operations, CancellationToken cancellation)
    {
        if (await database.Images.SingleOrDefaultAsync(i => i.Id == id, cancellation) is not { } image)
        {
            return Problems.NotFound("image", id);
        }

        if (context.Request.CheckIfMatch(image.Revision) is { } stale)
        {
            return stale;
        }

        if (image.BuiltIn)
        {
            return Problems.Conflict("The image is part of WebVm.");
        }

        if ((await ImageUse.ReadAsync(database, image.Name, cancellation)).TryGetValue(image.Name, out var use))
        {
            return Problems.Conflict($"The image is used by {use}.");
        }

        database.Images.Remove(image);
        database.Record("image.deleted", $"/api/v1/images/{id}", message: $"Image {image.Name} was deleted");
        await database.SaveChangesAsync(cancellation);
        store.Delete(id);
        // Nobody waits for an image that is gone.
        string target = $"/api/v1/images/{id}";
        foreach (var work in await database.Operations.Where(o => o.FinishedAt == null && o.Target == target).Select(o => o.Id)
            .ToListAsync(CancellationToken.None))
        {
            await operations.CancelAsync(work, CancellationToken.None);
        }

        return TypedResults.NoContent();
    }
}

/// <summary>An image as clients see it.</summary>
/// <param name="UsedBy">Names of VMs that boot from it, now or as they run: the first 20.</param>
/// <param name="UsedByCount">All VMs that do.</param>
public sealed record ImageView(
    Guid Id, string Name, ImageKind Kind, ImageState State, string Description, long Bytes, long ReceivedBytes, string? Sha256,
    bool BuiltIn, string? SourceUrl,
    string? Error, IReadOnlyList<string> UsedBy, int UsedByCount, DateTimeOffset CreatedAt)
{
    internal static ImageView From(Image i, ImageUse? use) =>
        new(i.Id, i.Name, i.Kind, i.State, i.Description, i.Bytes, i.ReceivedBytes, i.Sha256, i.BuiltIn, i.SourceUrl, i.Error, use?.Names
            ?? [], use?.Count ?? 0, i.CreatedAt);
}

/// <param name="Bytes">Size; needed for an upload, and the limit of an import.</param>
/// <param name="Sha256">Checked when all bytes are there.</param>
/// <param name="Url">Where to import from; none for an upload.</param>
public sealed record CreateImage(
    string Name, ImageKind Kind, string? Description = null, long? Bytes = null, string? Sha256 = null, string? Url = null) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(
            ImageEndpoints.Check(this, check.Context.RequestServices.GetRequiredService<IOptions<ServiceOptions>>().Value.MaxImageBytes));
        return ValueTask.CompletedTask;
    }
}

/// <summary>What can be changed of an image.</summary>
[ShownAs(typeof(ImageView))]
public sealed record ImageSettings(string Name, string Description = "")
{
    public const int LongestDescription = 4096;

    internal ValueTask CheckAsync(BodyCheck check)
    {
        check.Add(Names.Check("/name", Name));
        check.Add(Description.Length > LongestDescription ? [new("/description", $"has more than {LongestDescription} characters")] : []);
        return ValueTask.CompletedTask;
    }
}
