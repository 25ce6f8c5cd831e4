using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
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
using WebVm.Api.Runs;
using WebVm.Api.Vms;

namespace WebVm.Api.Snapshots;

/// <summary><c>/vms/{id}/snapshots</c>: points in time that a VM can be taken back to.</summary>
public static class SnapshotEndpoints
{
    private static readonly ListOrders<Snapshot> s_orders = new(
        all: true,
        ListOrder<Snapshot>.ById("-createdAt", snapshot => snapshot.Id, descending: true),
        ListOrder<Snapshot>.ById("createdAt", snapshot => snapshot.Id),
        ListOrder<Snapshot>.ByName("name", snapshot => snapshot.Name),
        ListOrder<Snapshot>.ByName("-name", snapshot => snapshot.Name, descending: true));

    public static void MapSnapshots(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/snapshots").WithTags("Snapshots");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).Sorts(s_orders).WithSummary("List a VM's snapshots, newest first");
        group.MapGet("/{snapshot:guid}", GetAsync).RequireScope(Scopes.VmsRead).WithSummary("Read a snapshot")
            .WithDescription("restores names the settings that restoring it now would change; configuration has their values.");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.VmsWrite).Idempotent().Conditional()
            .WithSummary("Take a snapshot; of a running VM with its memory")
            .WithDescription("If-Match compares the revision of the VM's settings.").ProducesOperation();
        group.MapPatch("/{snapshot:guid}", PatchAsync).RequireScope(Scopes.VmsWrite).Conditional()
            .WithSummary("Change a snapshot's name or description by JSON Merge Patch");
        group.MapPost("/{snapshot:guid}/restore", RestoreAsync).RequireScope(Scopes.VmsWrite).Idempotent().Conditional()
            .WithSummary("Take the VM back to a snapshot; what it is doing now is lost")
            .WithDescription(
                "The settings that the VM had come back too, but its name, description and labels: the operation's result names those "
                + "that changed (restored). If-Match compares the revision of the VM's settings.").ProducesOperation();
        group.MapDelete("/{snapshot:guid}", DeleteAsync).RequireScope(Scopes.VmsWrite).Conditional().WithSummary("Delete a snapshot");
    }

    private static async Task<Results<Ok<Page<SnapshotView>>, ProblemHttpResult>> ListAsync(
        Guid id,
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitOfAllMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this name.")] string? name,
        CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        var (page, refusal) = await s_orders.ReadAsync(
            database.Snapshots.AsNoTracking().Where(s => s.VmId == id && (name == null || s.Name == name)),
            new PageRequest(limit, cursor, sort), cancellation);
        return page is null ? refusal! : TypedResults.Ok(page.Select(snapshot => SnapshotView.From(snapshot, vm.Configuration)));
    }

    private static async Task<Results<Ok<SnapshotView>, ProblemHttpResult>> GetAsync(
        Guid id, Guid snapshot, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await FindAsync(id, snapshot, database, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        response.SetETag(found.Snapshot.Revision);
        return TypedResults.Ok(SnapshotView.From(found.Snapshot, found.Configuration));
    }

    private static async Task<Results<Ok<SnapshotView>, ProblemHttpResult>> PatchAsync(
        Guid id, Guid snapshot, Patch<SnapshotSettings> patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await FindAsync(id, snapshot, database, cancellation) is not var (found, configuration))
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        if (context.Request.CheckIfMatch(found.Revision) is { } stale)
        {
            return stale;
        }

        var faults = new List<FieldFault>();
        var settings = MergePatch.Apply(new SnapshotSettings(found.Name, found.Description), patch.Json, faults);
        settings?.Check(new BodyCheck(context, faults));
        if (faults.Count > 0 || settings is null)
        {
            return Problems.Invalid(faults);
        }

        if (found.Name != settings.Name || found.Description != settings.Description)
        {
            (found.Name, found.Description) = (settings.Name, settings.Description);
            found.Revision++;
            database.Record("snapshot.changed", $"/api/v1/vms/{id}/snapshots/{snapshot}", id, $"Snapshot {found.Name} was changed");
        }

        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return await NameTakenAsync(id, settings.Name, database, cancellation);
        }

        context.Response.SetETag(found.Revision);
        return TypedResults.Ok(SnapshotView.From(found, configuration));
    }

    /// <summary>A snapshot, and the settings that its VM has now.</summary>
    private static async Task<(Snapshot Snapshot, VmConfiguration Configuration)?> FindAsync(
        Guid id, Guid snapshot, WebVmDbContext database, CancellationToken cancellation)
    {
        var found = await database.Snapshots.SingleOrDefaultAsync(s => s.VmId == id && s.Id == snapshot, cancellation);
        var vm = found is null ? null : await database.Vms.AsNoTracking().SingleOrDefaultAsync(v => v.Id == id, cancellation);
        return vm is null ? null : (found!, vm.Configuration);
    }

    private static async Task<ProblemHttpResult> NameTakenAsync(
        Guid id, string name, WebVmDbContext database, CancellationToken cancellation) =>
        Problems.NameTaken(
            "snapshot", name, $"/api/v1/vms/{id}/snapshots",
            await database.Snapshots.AsNoTracking().Where(s => s.VmId == id && s.Name == name).Select(s => (Guid?)s.Id)
                .FirstOrDefaultAsync(cancellation));

    private static async Task<IResult> CreateAsync(
        Guid id, Body<CreateSnapshot> body, HttpContext context, WebVmDbContext database, VmCommands commands,
        CancellationToken cancellation)
    {
        var request = body.Value;
        try
        {
            return await commands.RunAsync(id, context, vm => BeginAsync(vm, request, context, database, cancellation), cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return await NameTakenAsync(id, request.Name, database, cancellation);
        }
    }

    private static async Task<Commanded> BeginAsync(
        Vm vm, CreateSnapshot request, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (vm.Deleting || vm.Observed is not (ObservedPower.Off or ObservedPower.Running or ObservedPower.Paused))
        {
            return Problems.Conflict(
                $"A VM that is {(vm.Deleting ? "being deleted" : vm.Observed.ToString().ToLowerInvariant())} cannot be snapshotted.");
        }

        if (await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full)
        {
            return full;
        }

        var snapshot = new Snapshot { VmId = vm.Id, Name = request.Name, Description = request.Description
            ?? "", Configuration = vm.RunningConfiguration ?? vm.Configuration };
        database.Snapshots.Add(snapshot);
        return OperationRunner.Create(
            database, SnapshotCreation.OperationKind, $"/api/v1/vms/{vm.Id}/snapshots/{snapshot.Id}", vm.Id, context.User.Actor(),
            new SnapshotJob(snapshot.Id));
    }

    private static Task<IResult> RestoreAsync(
        Guid id, Guid snapshot, HttpContext context, WebVmDbContext database, VmCommands commands, CancellationToken cancellation) =>
        commands.RunAsync(id, context, vm => BeginRestorationAsync(vm, snapshot, context, database, cancellation), cancellation);

    private static async Task<Commanded> BeginRestorationAsync(
        Vm vm, Guid snapshot, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Snapshots.AsNoTracking()
            .SingleOrDefaultAsync(s => s.VmId == vm.Id && s.Id == snapshot, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        if (vm.Deleting || !found.Complete)
        {
            return Problems.Conflict(vm.Deleting ? "The VM is being deleted." : "The snapshot is not complete.");
        }

        return await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full
            ? full
            : OperationRunner.Create(
                database, SnapshotRestoration.OperationKind, $"/api/v1/vms/{vm.Id}/snapshots/{snapshot}", vm.Id, context.User.Actor(),
                new SnapshotJob(snapshot));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(
        Guid id, Guid snapshot, HttpContext context, WebVmDbContext database, VmFiles files, CancellationToken cancellation)
    {
        if (await database.Snapshots.SingleOrDefaultAsync(s => s.VmId == id && s.Id == snapshot, cancellation) is not { } found)
        {
            return Problems.NotFound("snapshot", snapshot);
        }

        if (context.Request.CheckIfMatch(found.Revision) is { } stale)
        {
            return stale;
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
/// <param name="Configuration">The VM's settings at the time, which come back with it.</param>
/// <param name="Restores">JSON pointers to the settings that restoring it now would change.</param>
public sealed record SnapshotView(
    Guid Id, Guid VmId, string Name, string Description, bool Complete, bool HasMemory, long Bytes, DateTimeOffset CreatedAt,
    VmConfiguration Configuration, IReadOnlyList<string> Restores)
{
    /// <param name="now">The settings that the VM has.</param>
    internal static SnapshotView From(Snapshot s, VmConfiguration now) =>
        new(s.Id, s.VmId, s.Name, s.Description, s.Complete, s.Bytes > 0, s.Bytes, s.CreatedAt, s.Configuration,
            VmConfigurationDifference.Between(now, s.Configuration));
}

public sealed record CreateSnapshot(string Name, string? Description = null) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        new SnapshotSettings(Name, Description ?? "").Check(check);
        return ValueTask.CompletedTask;
    }
}

/// <summary>What can be changed of a snapshot.</summary>
[ShownAs(typeof(SnapshotView))]
public sealed record SnapshotSettings(string Name, string Description = "")
{
    private const int LongestDescription = 4096;

    internal void Check(BodyCheck check)
    {
        check.Add(Names.Check("/name", Name));
        check.Add(Description.Length > LongestDescription ? [new("/description", $"has more than {LongestDescription} characters")] : []);
    }
}

/// <param name="Restored">JSON pointers to the settings that came back and had been others.</param>
public sealed record SnapshotRestored(Guid SnapshotId, string Name, IReadOnlyList<string> Restored);

internal sealed record SnapshotJob(Guid SnapshotId);
