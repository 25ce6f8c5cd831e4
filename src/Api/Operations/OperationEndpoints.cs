using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
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

    private static readonly QueryParameter s_wait = new(
        "wait", typeof(int), "Seconds to hold the answer until the operation has ended; 0 unless told.", Least: 0, Most: LongestWait);

    private static readonly ListOrders<Operation> s_orders = new(
        all: false, ListOrder<Operation>.ById("-createdAt", operation => operation.Id, descending: true),
        ListOrder<Operation>.ById("createdAt", operation => operation.Id));

    public static void MapOperations(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/operations").WithTags("Operations");
        group.MapGet("/", ListAsync).RequireScope(Scopes.VmsRead).Sorts(s_orders).WithSummary("List operations, newest first");
        group.MapGet("/{id:guid}", GetAsync).RequireScope(Scopes.VmsRead).WithMetadata(s_wait)
            .WithSummary("Read an operation; ?wait=seconds waits for its end");
        group.MapPost("/{id:guid}/cancel", CancelAsync).RequireScope(Scopes.VmsWrite).WithSummary("Ask an operation to stop");
    }

    /// <summary>Describes an endpoint that answers by <see cref="AcceptedAsync"/>.</summary>
    public static RouteHandlerBuilder ProducesOperation(this RouteHandlerBuilder endpoint) => endpoint
        .WithMetadata(s_wait)
        .Produces<OperationView>(StatusCodes.Status202Accepted)
        .ProducesProblem(StatusCodes.Status404NotFound)
        .ProducesProblem(StatusCodes.Status409Conflict)
        .ProducesProblem(StatusCodes.Status422UnprocessableEntity)
        .ProducesProblem(StatusCodes.Status429TooManyRequests)
        .ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    /// <summary>
    /// The 202 answer to a request that started an operation; with <c>?wait=</c> it is held until the operation has ended.
    /// </summary>
    public static async Task<IResult> AcceptedAsync(this OperationRunner runner, HttpContext context, Operation operation)
    {
        var wait = Wait(context.Request);
        runner.Enqueue(operation);
        var current = wait > TimeSpan.Zero ? await runner.WaitAsync(operation.Id, wait, context.RequestAborted) ?? operation : operation;
        return TypedResults.Accepted($"/api/v1/operations/{operation.Id}", OperationView.From(current));
    }

    // Read, and held within its bounds, by the rules of queries before any endpoint.
    private static TimeSpan Wait(HttpRequest request) =>
        TimeSpan.FromSeconds(int.TryParse(request.Query[s_wait.Name], out int seconds) ? Math.Clamp(seconds, 0, LongestWait) : 0);

    private static async Task<Results<Ok<Page<OperationView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Those on this VM.")] Guid? vm,
        Choice<OperationState>? state,
        CancellationToken cancellation)
    {
        var query = database.Operations.AsNoTracking();
        query = vm is { } vmId ? query.Where(o => o.VmId == vmId) : query;
        query = state is { } wanted ? query.Where(o => o.State == wanted.Value) : query;
        var (page, refusal) = await s_orders.ReadAsync(query, new PageRequest(limit, cursor, sort), cancellation);
        return page is null ? refusal! : TypedResults.Ok(page.Select(OperationView.From));
    }

    private static async Task<Results<Ok<OperationView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, OperationRunner runner, CancellationToken cancellation) =>
        await runner.WaitAsync(id, Wait(context.Request), cancellation) is { } operation
            ? TypedResults.Ok(OperationView.From(operation))
            : Problems.NotFound("operation", id);

    private static async Task<Results<Ok<OperationView>, ProblemHttpResult>> CancelAsync(
        Guid id, OperationRunner runner, CancellationToken cancellation)
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
    Guid Id, string Kind, string Target, Guid? VmId, string? Actor, OperationState State, int Progress, string? Message,
    bool CancelRequested,
    JsonElement? Result, string? Error, DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt)
{
    public static OperationView From(Operation o) =>
        new(o.Id, o.Kind, o.Target, o.VmId, o.Actor, o.State, o.Progress, o.Message, o.CancelRequested,
            o.Result is null ? null : JsonSerializer.Deserialize<JsonElement>(o.Result), o.Error, o.CreatedAt, o.StartedAt, o.FinishedAt);
}
