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
using WebVm.Api.Vms;

namespace WebVm.Api.Snapshots;

/// <summary><c>/vms/{id}/snapshots</c>: points in time that a VM can be taken back to.</summary>
public static class SnapshotEndpoints
{
    public static void MapSnapshots(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/snapshots").WithTags("Snapshots");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).WithSummary("List a VM's snapshots, newest first");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.VmsWrite).Idempotent().WithSummary("Take a snapshot; of a running VM with its memory").ProducesOperation();
        group.MapPost("/{snapshot:guid}/restore", RestoreAsync).RequireScope(Scopes.VmsWrite).WithSummary("Take the VM back to a snapshot; what it is doing now is lost").ProducesOperation();
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

    private static async Task<IResult> CreateAsync(Guid id, CreateSnapshot request, HttpContext context, WebVmDbContext database, VmCommands commands, CancellationToken cancellation)
    {
        var faults = Names.Check("/name", request.Name).ToList();
        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        try
        {
            return await commands.RunAsync(id, context, vm => BeginAsync(vm, request, context, database, cancellation), cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return Problems.NameTaken("snapshot", request.Name);
        }
    }

    private static async Task<Commanded> BeginAsync(Vm vm, CreateSnapshot request, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (vm.Deleting || vm.Observed is not (ObservedPower.Off or ObservedPower.Running or ObservedPower.Paused))
        {
            return Problems.Conflict($"A VM that is {(vm.Deleting ? "being deleted" : vm.Observed.ToString().ToLowerInvariant())} cannot be snapshotted.");
        }

        if (await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full)
        {
            return full;
        }

        var snapshot = new Snapshot { VmId = vm.Id, Name = request.Name, Description = request.Description ?? "", Configuration = vm.RunningConfiguration ?? vm.Configuration };
        database.Snapshots.Add(snapshot);
        return OperationRunner.Create(database, SnapshotCreation.OperationKind, $"/api/v1/vms/{vm.Id}/snapshots/{snapshot.Id}", vm.Id, context.User.Actor(), new SnapshotJob(snapshot.Id));
    }

    private static Task<IResult> RestoreAsync(Guid id, Guid snapshot, HttpContext context, WebVmDbContext database, VmCommands commands, CancellationToken cancellation) =>
        commands.RunAsync(id, context, vm => BeginRestorationAsync(vm, snapshot, context, database, cancellation), cancellation);

    private static async Task<Commanded> BeginRestorationAsync(Vm vm, Guid snapshot, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Snapshots.AsNoTracking().SingleOrDefaultAsync(s => s.VmId == vm.Id && s.Id == snapshot, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        if (vm.Deleting || !found.Complete)
        {
            return Problems.Conflict(vm.Deleting ? "The VM is being deleted." : "The snapshot is not complete.");
        }

        return await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full
            ? full
            : OperationRunner.Create(database, SnapshotRestoration.OperationKind, $"/api/v1/vms/{vm.Id}/snapshots/{snapshot}", vm.Id, context.User.Actor(), new SnapshotJob(snapshot));
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
