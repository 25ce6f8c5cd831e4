using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Identity;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Supervisor;

namespace WebVm.Api.Snapshots;

/// <summary><c>/vms/{id}/snapshots</c>: points in time that a VM can be taken back to.</summary>
public static class SnapshotEndpoints
{
    public static void MapSnapshots(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/snapshots").WithTags("Snapshots");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).WithSummary("List a VM's snapshots, newest first");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.VmsWrite).Idempotent().WithSummary("Take a snapshot; of a running VM with its memory");
        group.MapPost("/{snapshot:guid}/restore", RestoreAsync).RequireScope(Scopes.VmsWrite).WithSummary("Take the VM back to a snapshot; what it is doing now is lost");
        group.MapDelete("/{snapshot:guid}", DeleteAsync).RequireScope(Scopes.VmsWrite).WithSummary("Delete a snapshot");
    }

    private static async Task<Results<Ok<Page<SnapshotView>>, ProblemHttpResult>> ListAsync(Guid id, WebVmDbContext database, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        var found = await database.Snapshots.AsNoTracking().Where(s => s.VmId == id).OrderByDescending(s => s.Id).ToListAsync(cancellation);
        return TypedResults.Ok(new Page<SnapshotView>([.. found.Select(SnapshotView.From)], null));
    }

    private static async Task<IResult> CreateAsync(Guid id, CreateSnapshot request, HttpContext context, WebVmDbContext database, OperationRunner operations, CancellationToken cancellation)
    {
        var faults = Names.Check("/name", request.Name).ToList();
        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        if (vm.Observed is not (ObservedPower.Off or ObservedPower.Running or ObservedPower.Paused))
        {
            return Problems.Conflict($"A VM that is {vm.Observed.ToString().ToLowerInvariant()} cannot be snapshotted.");
        }

        if (await OperationRunner.RefusalAsync(database, context, id, cancellation) is { } full)
        {
            return full;
        }

        var snapshot = new Snapshot { VmId = id, Name = request.Name, Description = request.Description ?? "", Configuration = vm.RunningConfiguration ?? vm.Configuration };
        database.Snapshots.Add(snapshot);
        var operation = OperationRunner.Create(database, SnapshotCreation.OperationKind, $"/api/v1/vms/{id}/snapshots/{snapshot.Id}", id, context.User.Actor(), new SnapshotJob(snapshot.Id));
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return Problems.NameTaken("snapshot", request.Name);
        }

        return await operations.AcceptedAsync(context, operation);
    }

    private static async Task<IResult> RestoreAsync(Guid id, Guid snapshot, HttpContext context, WebVmDbContext database, OperationRunner operations, CancellationToken cancellation)
    {
        if (await database.Snapshots.AsNoTracking().SingleOrDefaultAsync(s => s.VmId == id && s.Id == snapshot, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        if (!found.Complete)
        {
            return Problems.Conflict("The snapshot is not complete.");
        }

        if (await OperationRunner.RefusalAsync(database, context, id, cancellation) is { } full)
        {
            return full;
        }

        var operation = OperationRunner.Create(database, SnapshotRestoration.OperationKind, $"/api/v1/vms/{id}/snapshots/{snapshot}", id, context.User.Actor(), new SnapshotJob(snapshot));
        await database.SaveChangesAsync(cancellation);
        return await operations.AcceptedAsync(context, operation);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(Guid id, Guid snapshot, WebVmDbContext database, VmFiles files, CancellationToken cancellation)
    {
        if (await database.Snapshots.SingleOrDefaultAsync(s => s.VmId == id && s.Id == snapshot, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        database.Snapshots.Remove(found);
        database.Record("snapshot.deleted", $"/api/v1/vms/{id}/snapshots/{snapshot}", id, $"Snapshot {found.Name} was deleted");
        await database.SaveChangesAsync(cancellation);
        string folder = files.Snapshot(id, snapshot);
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }

        return TypedResults.NoContent();
    }
}

/// <param name="HasMemory">Whether the VM was running, so that it goes on from the very instant.</param>
public sealed record SnapshotView(Guid Id, Guid VmId, string Name, string Description, bool Complete, bool HasMemory, long Bytes, DateTimeOffset CreatedAt)
{
    public static SnapshotView From(Snapshot s) => new(s.Id, s.VmId, s.Name, s.Description, s.Complete, s.Bytes > 0, s.Bytes, s.CreatedAt);
}

public sealed record CreateSnapshot(string Name, string? Description = null);

internal sealed record SnapshotJob(Guid SnapshotId);
