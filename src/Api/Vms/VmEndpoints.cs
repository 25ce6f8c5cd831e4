using System.Text.Json;
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
    public static void MapVms(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms").WithTags("VMs");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).WithSummary("List VMs by name")
            .WithDescription("?q= words in name, description or labels; ?label=key or key=value, repeatable; ?state=, repeatable; ?fields=id,name,…")
            .Produces<Page<VmView>>().ProducesProblem(StatusCodes.Status422UnprocessableEntity);
        group.MapGet("/summary", SummarizeAsync).RequireScope(Scopes.VmsRead).WithSummary("Count VMs by state; labels in use");
        group.MapPost("/", CreateAsync).RequireScope(Scopes.VmsWrite).Idempotent().WithSummary("Create a VM; a name is enough");
        group.MapGet("/{id:guid}", GetAsync).RequireScope(Scopes.VmsRead).WithSummary("Read a VM");
        group.MapPatch("/{id:guid}", PatchAsync).RequireScope(Scopes.VmsWrite).WithSummary("Change settings by JSON Merge Patch")
            .WithDescription("application/merge-patch+json or application/json: the fields to change, null for back to the default. If-Match with the ETag refuses to overwrite another's change.");
        group.MapDelete("/{id:guid}", DeleteAsync).RequireScope(Scopes.VmsWrite).WithSummary("Delete a VM with its snapshots and logs; ?force=true stops it first")
            .WithDescription("The answer is 202 with an operation; ?wait=seconds holds it until the VM is gone. Asked for again meanwhile, it is the same operation.")
            .ProducesOperation().ProducesProblem(StatusCodes.Status412PreconditionFailed);
        group.MapPost("/{id:guid}/clone", CloneAsync).RequireScope(Scopes.VmsWrite).Idempotent().WithSummary("Create another VM with the same settings");
    }

    private static async Task<IResult> ListAsync(
        HttpContext context, WebVmDbContext database, int? limit, string? cursor, string? fields, string? q, Choice<ObservedPower>[]? state, CancellationToken cancellation)
    {
        var page = new PageRequest(limit, cursor, fields);
        if (page.Validate() is { } fault)
        {
            return Problems.Invalid([fault]);
        }

        var query = database.VmsWith(q);
        if (page.DecodeCursor() is { } last)
        {
            query = query.Where(vm => string.Compare(vm.Name, last) > 0);
        }

        if (state is { Length: > 0 })
        {
            ObservedPower[] wanted = [.. state.Select(choice => choice.Value)];
            query = query.Where(vm => wanted.Contains(vm.Observed));
        }

        foreach (string? label in context.Request.Query["label"])
        {
            string[] parts = (label ?? "").Split('=', 2);
            string json = parts.Length == 2 ? new JsonObject { [parts[0]] = parts[1] }.ToJsonString() : "{}";
            query = parts.Length == 2
                ? query.Where(vm => EF.Functions.JsonContains(vm.Labels, json))
                : query.Where(vm => EF.Functions.JsonExists(vm.Labels, parts[0]));
        }

        var found = await query.OrderBy(vm => vm.Name).Take(page.Size + 1).ToListAsync(cancellation);
        string? next = found.Count > page.Size ? PageRequest.EncodeCursor(found[page.Size - 1].Name) : null;
        var result = new Page<VmView>([.. found.Take(page.Size).Select(VmView.From)], next);
        return fields is null ? TypedResults.Ok(result) : TypedResults.Ok(page.Select(result));
    }

    private static async Task<Ok<VmSummary>> SummarizeAsync(WebVmDbContext database, CancellationToken cancellation) =>
        TypedResults.Ok(await database.SummarizeAsync(cancellation));

    private static async Task<Results<Ok<VmView>, ProblemHttpResult>> GetAsync(Guid id, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        context.Response.SetETag(vm.Revision);
        return TypedResults.Ok(VmView.From(vm));
    }

    private static async Task<Results<Created<VmView>, ProblemHttpResult>> CreateAsync(VmSettings request, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var faults = await VmValidation.CheckAsync(request, database, cancellation);
        return faults.Count > 0 ? Problems.Invalid(faults) : await AddAsync(request, context, database, cancellation);
    }

    private static async Task<Results<Created<VmView>, ProblemHttpResult>> CloneAsync(Guid id, CloneVm request, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } original)
        {
            return Problems.NotFound("VM", id);
        }

        var settings = VmSettings.From(original) with { Name = request.Name, DeleteProtection = false };
        var faults = await VmValidation.CheckAsync(settings, database, cancellation);
        return faults.Count > 0 ? Problems.Invalid(faults) : await AddAsync(settings, context, database, cancellation);
    }

    private static async Task<Results<Created<VmView>, ProblemHttpResult>> AddAsync(VmSettings settings, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var vm = new Vm { Name = settings.Name, Description = settings.Description, Labels = new(settings.Labels), Configuration = settings.ToConfiguration() };
        database.Vms.Add(vm);
        database.Record("vm.created", vm, $"{vm.Name} was created");
        if (!await TrySaveAsync(database, cancellation))
        {
            return Problems.NameTaken("VM", settings.Name);
        }

        context.Response.SetETag(vm.Revision);
        return TypedResults.Created($"/api/v1/vms/{vm.Id}", VmView.From(vm));
    }

    private static async Task<Results<Ok<VmView>, ProblemHttpResult>> PatchAsync(Guid id, JsonElement patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        try
        {
            var (vm, refusal) = await database.InTransactionAsync(() => ChangeAsync(id, JsonSerializer.SerializeToNode(patch), context, database, cancellation), cancellation);
            if (vm is null)
            {
                return refusal!;
            }

            context.Response.SetETag(vm.Revision);
            return TypedResults.Ok(VmView.From(vm));
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return Problems.NameTaken("VM", patch.GetProperty("name").GetString()!);
        }
    }

    /// <summary>Changes come one after the other: only who asks for it with If-Match is refused because another was there before.</summary>
    private static async Task<(Vm? Vm, ProblemHttpResult? Refusal)> ChangeAsync(Guid id, JsonNode? patch, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.LockVmAsync(id, cancellation) is not { } vm)
        {
            return (null, Problems.NotFound("VM", id));
        }

        if (context.Request.CheckIfMatch(vm.Revision) is { } stale)
        {
            return (null, stale);
        }

        if (MergePatch.Apply(VmSettings.From(vm), patch, out var fault) is not { } changed)
        {
            return (null, Problems.Invalid([fault!]));
        }

        var faults = await VmValidation.CheckAsync(changed, database, cancellation);
        if (faults.Count > 0)
        {
            return (null, Problems.Invalid(faults));
        }

        vm.Name = changed.Name;
        vm.Description = changed.Description;
        vm.Labels = new(changed.Labels);
        vm.Configuration = changed.ToConfiguration();
        vm.UpdatedAt = DateTimeOffset.UtcNow;
        vm.Revision++;
        database.Record("vm.changed", vm, $"{vm.Name} was changed");
        return (vm, null);
    }

    private static Task<IResult> DeleteAsync(Guid id, HttpContext context, WebVmDbContext database, VmCommands commands, bool? force, CancellationToken cancellation) =>
        commands.RunAsync(id, context, vm => BeginDeletionAsync(vm, context, force == true, database, cancellation), cancellation);

    private static async Task<Commanded> BeginDeletionAsync(Vm vm, HttpContext context, bool force, WebVmDbContext database, CancellationToken cancellation)
    {
        if (context.Request.CheckIfMatch(vm.Revision) is { } stale)
        {
            return stale;
        }

        if (vm.Configuration.DeleteProtection)
        {
            return Problems.Conflict("The VM is protected from deletion; set deleteProtection to false first.");
        }

        if (!force && (vm.Desired is DesiredPower.On or DesiredPower.Paused || vm.RunId is not null))
        {
            return Problems.Conflict("The VM is running; shut it down first, or delete it with ?force=true.");
        }

        // As for switching off: the first passes whatever else waits, and another is the same.
        var standing = await VmDeletion.FindAsync(database, vm.Id, cancellation);
        if (standing is { CancelRequested: false })
        {
            return standing;
        }

        if (standing is not null && await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full)
        {
            return full;
        }

        vm.Deleting = true;
        vm.Desired = DesiredPower.Off;
        vm.DesiredGeneration++;
        vm.Revision++;
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

public sealed record CloneVm(string Name);
