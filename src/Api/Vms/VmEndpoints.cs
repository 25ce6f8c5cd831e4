using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
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

namespace WebVm.Api.Vms;

/// <summary><c>/vms</c>: virtual machines.</summary>
public static class VmEndpoints
{
    private static readonly ListOrders<Vm> s_orders = new(
        all: false,
        ListOrder<Vm>.ByName("name", vm => vm.Name),
        ListOrder<Vm>.ByName("-name", vm => vm.Name, descending: true),
        ListOrder<Vm>.ById("createdAt", vm => vm.Id),
        ListOrder<Vm>.ById("-createdAt", vm => vm.Id, descending: true),
        ListOrder<Vm>.ByTime("updatedAt", vm => vm.UpdatedAt, vm => vm.Id),
        ListOrder<Vm>.ByTime("-updatedAt", vm => vm.UpdatedAt, vm => vm.Id, descending: true));

    public static void MapVms(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms").WithTags("VMs");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).WithSummary("List VMs by name")
            .WithDescription("Filters that are given together have all to hold.")
            .Sorts(s_orders).Produces<Page<VmView>>();
        group.MapGet("/summary", SummarizeAsync).RequireScope(Scopes.VmsRead).WithSummary("Count VMs by state; labels in use");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.VmsWrite).Idempotent().WithSummary("Create a VM; a name is enough");
        group.MapGet("/{id:guid}", GetAsync).RequireScope(Scopes.VmsRead).WithSummary("Read a VM");
        group.MapPatch("/{id:guid}", PatchAsync).RequireScope(Scopes.VmsWrite).Conditional()
            .WithSummary("Change settings by JSON Merge Patch")
            .WithDescription(
                "application/merge-patch+json or application/json: the fields to change, null for back to the default. If-Match with "
                + "the ETag refuses to overwrite another's change. "
                + "What cannot be set is passed over, so that an answer may be sent back; what changes nothing makes no event and no "
                + "new revision.");
        group.MapPut("/{id:guid}", PutAsync).RequireScope(Scopes.VmsWrite).Conditional().WithSummary("Replace all settings")
            .WithDescription("Fields that are left out get their defaults. Otherwise as PATCH.");
        group.MapDelete("/{id:guid}", DeleteAsync).RequireScope(Scopes.VmsWrite).Conditional()
            .WithSummary("Delete a VM with its snapshots and logs; ?force=true stops it first")
            .WithDescription(
                "The answer is 202 with an operation; ?wait=seconds holds it until the VM is gone. Asked for again meanwhile, it is "
                + "the same operation.")
            .ProducesOperation();
        group.MapPost("/{id:guid}/clone", CloneAsync).RequireScope(Scopes.VmsWrite).Idempotent().Conditional()
            .WithSummary("Create another VM with the same settings");
    }

    private static async Task<Results<Ok<Page<VmView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this name.")] string? name,
        [Description("Words, each of which is in the name, the description or a label (written key=value), in whatever letter case.")] string? q,
        [Description("A label's key, or key=value; repeated, all have to be there.")] string[]? label,
        [Description("A state; repeated, any of them.")] Choice<ObservedPower>[]? state,
        CancellationToken cancellation)
    {
        var query = database.VmsWith(q);
        if (name is not null)
        {
            query = query.Where(vm => vm.Name == name);
        }

        if (state is { Length: > 0 })
        {
            ObservedPower[] wanted = [.. state.Select(choice => choice.Value)];
            query = query.Where(vm => wanted.Contains(vm.Observed));
        }

        foreach (string one in label ?? [])
        {
            string[] parts = one.Split('=', 2);
            string json = parts.Length == 2 ? new JsonObject { [parts[0]] = parts[1] }.ToJsonString() : "{}";
            query = parts.Length == 2
                ? query.Where(vm => EF.Functions.JsonContains(vm.Labels, json))
                : query.Where(vm => EF.Functions.JsonExists(vm.Labels, parts[0]));
        }

        var (page, refusal) = await s_orders.ReadAsync(query, new PageRequest(limit, cursor, sort), cancellation);
        return page is null ? refusal! : TypedResults.Ok(page.Select(VmView.From));
    }

    private static async Task<Ok<VmSummary>> SummarizeAsync(WebVmDbContext database, CancellationToken cancellation) =>
        TypedResults.Ok(await database.SummarizeAsync(cancellation));

    private static async Task<Results<Ok<VmView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        context.Response.SetETag(vm.Revision);
        return TypedResults.Ok(VmView.From(vm));
    }

    private static Task<Results<Created<VmView>, ProblemHttpResult>> CreateAsync(
        Body<VmSettings> body, HttpContext context, WebVmDbContext database, CancellationToken cancellation) =>
        AddAsync(body.Value, context, database, cancellation);

    private static async Task<Results<Created<VmView>, ProblemHttpResult>> CloneAsync(
        Guid id, Body<CloneVm> body, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } original)
        {
            return Problems.NotFound("VM", id);
        }

        if (context.Request.CheckIfMatch(original.Revision) is { } stale)
        {
            return stale;
        }

        var settings = VmSettings.From(original) with { Name = body.Value.Name, DeleteProtection = false };
        var faults = new List<FieldFault>();
        await settings.CheckAsync(new BodyCheck(context, faults));
        return faults.Count > 0 ? Problems.Invalid(faults) : await AddAsync(settings, context, database, cancellation);
    }

    private static async Task<Results<Created<VmView>, ProblemHttpResult>> AddAsync(
        VmSettings settings, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var vm = new Vm { Name = settings.Name, Description = settings.Description, Labels = new(
            settings.Labels), Configuration = settings.ToConfiguration() };
        database.Vms.Add(vm);
        database.Record("vm.created", vm, $"{vm.Name} was created");
        if (!await TrySaveAsync(database, cancellation))
        {
            return await NameTakenAsync(settings.Name, database, cancellation);
        }

        context.Response.SetETag(vm.Revision);
        return TypedResults.Created($"/api/v1/vms/{vm.Id}", VmView.From(vm));
    }

    private static Task<Results<Ok<VmView>, ProblemHttpResult>> PatchAsync(
        Guid id, Patch<VmSettings> patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation) =>
        ChangeAsync(
            id,
            async vm =>
            {
                var faults = new List<FieldFault>();
                var changed = MergePatch.Apply(VmSettings.From(vm), patch.Json, faults);
                await (changed?.CheckAsync(new BodyCheck(context, faults)) ?? ValueTask.CompletedTask);
                return faults.Count > 0 ? (null, Problems.Invalid(faults)) : (changed, null);
            },
            context,
            database,
            cancellation);

    private static Task<Results<Ok<VmView>, ProblemHttpResult>> PutAsync(
        Guid id, Body<VmSettings> body, HttpContext context, WebVmDbContext database, CancellationToken cancellation) =>
        ChangeAsync(id, _ => Task.FromResult<(VmSettings?, ProblemHttpResult?)>((body.Value, null)), context, database, cancellation);

    /// <summary>Changes come one after the other: only who asks for it with If-Match is refused because another was there before.</summary>
    /// <param name="change">Given the VM, what it is to be; or why not.</param>
    private static async Task<Results<Ok<VmView>, ProblemHttpResult>> ChangeAsync(
        Guid id, Func<Vm, Task<(VmSettings? Changed, ProblemHttpResult? Refusal)>> change, HttpContext context, WebVmDbContext database,
        CancellationToken cancellation)
    {
        string wanted = "";
        try
        {
            var (vm, refusal) = await database.InTransactionAsync(
                async () =>
                {
                    if (await database.LockVmAsync(id, cancellation) is not { } vm)
                    {
                        return (null, Problems.NotFound("VM", id));
                    }

                    if (context.Request.CheckIfMatch(vm.Revision) is { } stale)
                    {
                        return (null, stale);
                    }

                    var (changed, refusal) = await change(vm);
                    wanted = changed?.Name ?? "";
                    if (changed?.ApplyTo(vm) == true)
                    {
                        vm.UpdatedAt = DateTimeOffset.UtcNow;
                        vm.Revision++;
                        database.Record("vm.changed", vm, $"{vm.Name} was changed");
                    }

                    return (changed is null ? null : vm, refusal);
                },
                cancellation);
            if (vm is null)
            {
                return refusal!;
            }

            context.Response.SetETag(vm.Revision);
            return TypedResults.Ok(VmView.From(vm));
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return await NameTakenAsync(wanted, database, cancellation);
        }
    }

    private static async Task<ProblemHttpResult> NameTakenAsync(string name, WebVmDbContext database, CancellationToken cancellation) =>
        Problems.NameTaken(
            "VM", name, "/api/v1/vms", await database.Vms.AsNoTracking().Where(vm => vm.Name == name).Select(vm => (Guid?)vm.Id)
                .FirstOrDefaultAsync(cancellation));

    private static Task<IResult> DeleteAsync(
        Guid id, HttpContext context, WebVmDbContext database, VmCommands commands, [Description("Stops a VM that runs.")] bool? force,
        CancellationToken cancellation) =>
        commands.RunAsync(id, context, vm => BeginDeletionAsync(vm, context, force == true, database, cancellation), cancellation);

    private static async Task<Commanded> BeginDeletionAsync(
        Vm vm, HttpContext context, bool force, WebVmDbContext database, CancellationToken cancellation)
    {
        // As for switching off: the first passes whatever else waits, and another is the same.
        var standing = await VmDeletion.FindAsync(database, vm.Id, cancellation);
        if (standing is { CancelRequested: false })
        {
            return standing;
        }

        if (vm.Configuration.DeleteProtection)
        {
            return Problems.Conflict("The VM is protected from deletion; set deleteProtection to false first.");
        }

        if (!force && (vm.Desired is DesiredPower.On or DesiredPower.Paused || vm.RunId is not null))
        {
            return Problems.Conflict("The VM is running; shut it down first, or delete it with ?force=true.");
        }

        if (standing is not null && await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full)
        {
            return full;
        }

        vm.Deleting = true;
        vm.Desired = DesiredPower.Off;
        vm.DesiredGeneration++;
        return OperationRunner.Create(database, VmDeletion.OperationKind, $"/api/v1/vms/{vm.Id}", vm.Id, context.User.Actor());
    }

    private static async Task<bool> TrySaveAsync(WebVmDbContext database, CancellationToken cancellation)
    {
        try
        {
            await database.SaveChangesAsync(cancellation);
            return true;
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return false;
        }
    }
}

public sealed record CloneVm(string Name) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Names.Check("/name", Name));
        return ValueTask.CompletedTask;
    }
}
