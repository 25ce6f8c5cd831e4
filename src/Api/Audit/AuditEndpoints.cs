using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Audit;

/// <summary><c>/audit</c>: who changed what.</summary>
public static class AuditEndpoints
{
    private static readonly ListOrders<AuditRecord> s_orders = new(
        all: false, ListOrder<AuditRecord>.ByNumber("-at", record => record.Id, descending: true),
        ListOrder<AuditRecord>.ByNumber("at", record => record.Id));

    public static void MapAudit(this IEndpointRouteBuilder api) =>
        api.MapGet("/audit", ListAsync).RequireScope(Scopes.Admin).Sorts(s_orders).WithTags("Audit")
            .WithSummary("List changes, newest first");

    private static async Task<Results<Ok<Page<AuditView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this one's.")] string? actor,
        CancellationToken cancellation)
    {
        var (page, refusal) = await s_orders.ReadAsync(
            database.Audit.AsNoTracking().Where(r => actor == null || r.Actor == actor), new PageRequest(limit, cursor, sort),
            cancellation);
        return page is null
            ? refusal!
            : TypedResults.Ok(page.Select(r => new AuditView(r.Id, r.At, r.Actor, r.Action, r.Target, r.Status, r.Address, r.TraceId)));
    }
}

public sealed record AuditView(
    long Id, DateTimeOffset At, string Actor, string Action, string Target, int Status, string? Address, string? TraceId);
