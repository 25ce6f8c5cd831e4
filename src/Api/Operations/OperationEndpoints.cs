using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Operations;

/// <summary><c>/operations</c>: see, await and cancel long work.</summary>
public static class OperationEndpoints
{
    /// <summary>The longest that a request is held open by <c>?wait=</c>, in seconds.</summary>
    public const int LongestWait = 300;

    public static void MapOperations(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/operations").WithTags("Operations");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).WithSummary("List operations, newest first");
        group.MapGet("/{id:guid}", GetAsync).RequireScope(Scopes.VmsRead).WithSummary("Read an operation; ?wait=seconds waits for its end");
        group.MapPost("/{id:guid}/cancel", CancelAsync).RequireScope(Scopes.VmsWrite).WithSummary("Ask an operation to stop");
    }

    /// <summary>Describes an endpoint that answers by <see cref="AcceptedAsync"/>.</summary>
    public static RouteHandlerBuilder ProducesOperation(this RouteHandlerBuilder endpoint) => endpoint
        .Produces<OperationView>(StatusCodes.Status202Accepted)
        .ProducesProblem(StatusCodes.Status404NotFound)
        .ProducesProblem(StatusCodes.Status409Conflict)
        .ProducesProblem(StatusCodes.Status422UnprocessableEntity)
        .ProducesProblem(StatusCodes.Status429TooManyRequests)
        .ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    /// <summary>The 202 answer to a request that started an operation; with <c>?wait=</c> it is held until the operation has ended.</summary>
    public static async Task<IResult> AcceptedAsync(this OperationRunner runner, HttpContext context, Operation operation)
    {
        if (!TryGetWait(context.Request, out var wait))
        {
            wait = TimeSpan.Zero;
        }

        runner.Enqueue(operation);
        var current = wait > TimeSpan.Zero ? await runner.WaitAsync(operation.Id, wait, context.RequestAborted) ?? operation : operation;
        return TypedResults.Accepted($"/api/v1/operations/{operation.Id}", OperationView.From(current));
    }

    /// <summary>False when <c>?wait=</c> is there and wrong.</summary>
    public static bool TryGetWait(HttpRequest request, out TimeSpan wait)
    {
        wait = TimeSpan.Zero;
        if (!request.Query.TryGetValue("wait", out var text))
        {
            return true;
        }

        if (!int.TryParse(text, out int seconds) || seconds is < 0 or > LongestWait)
        {
            return false;
        }

        wait = TimeSpan.FromSeconds(seconds);
        return true;
    }

    private static async Task<Results<Ok<Page<OperationView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database, int? limit, string? cursor, Guid? vm, Choice<OperationState>? state, CancellationToken cancellation)
    {
        var page = new PageRequest(limit, cursor, null);
        if (page.Validate() is { } fault)
        {
            return Problems.Invalid([fault]);
        }

        var query = database.Operations.AsNoTracking();
        if (page.DecodeCursor() is { } key)
        {
            if (!Guid.TryParse(key, out var last))
            {
                return Problems.Invalid("?cursor", "is not a cursor of this list");
            }

            query = query.Where(o => o.Id < last);
        }

        query = vm is { } vmId ? query.Where(o => o.VmId == vmId) : query;
        query = state is { } wanted ? query.Where(o => o.State == wanted.Value) : query;
        var found = await query.OrderByDescending(o => o.Id).Take(page.Size + 1).ToListAsync(cancellation);
        string? next = found.Count > page.Size ? PageRequest.EncodeCursor(found[page.Size - 1].Id.ToString()) : null;
        return TypedResults.Ok(new Page<OperationView>([.. found.Take(page.Size).Select(OperationView.From)], next));
    }

    private static async Task<Results<Ok<OperationView>, ProblemHttpResult>> GetAsync(Guid id, HttpContext context, OperationRunner runner, CancellationToken cancellation)
    {
        if (!TryGetWait(context.Request, out var wait))
        {
            return Problems.Invalid("?wait", $"must be between 0 and {LongestWait} seconds");
        }

        return await runner.WaitAsync(id, wait, cancellation) is { } operation ? TypedResults.Ok(OperationView.From(operation)) : Problems.NotFound("operation", id);
    }

    private static async Task<Results<Ok<OperationView>, ProblemHttpResult>> CancelAsync(Guid id, OperationRunner runner, CancellationToken cancellation)
    {
        bool asked = await runner.CancelAsync(id, cancellation);
        if (await runner.WaitAsync(id, TimeSpan.Zero, cancellation) is not { } operation)
        {
            return Problems.NotFound("operation", id);
        }

        return asked ? TypedResults.Ok(OperationView.From(operation)) : Problems.Conflict("The operation has already ended.");
    }
}

/// <summary>An operation as clients see it.</summary>
public sealed record OperationView(
    Guid Id, string Kind, string Target, Guid? VmId, string? Actor, OperationState State, int Progress, string? Message, bool CancelRequested,
    JsonElement? Result, string? Error, DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt)
{
    public static OperationView From(Operation o) =>
        new(o.Id, o.Kind, o.Target, o.VmId, o.Actor, o.State, o.Progress, o.Message, o.CancelRequested,
            o.Result is null ? null : JsonSerializer.Deserialize<JsonElement>(o.Result), o.Error, o.CreatedAt, o.StartedAt, o.FinishedAt);
}
