using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;

namespace WebVm.Api.Audit;

/// <summary><c>/audit</c>: who changed what.</summary>
public static class AuditEndpoints
{
    public static void MapAudit(this IEndpointRouteBuilder api) =>
        api.MapGet("/audit", ListAsync).RequireScope(Scopes.Admin).WithTags("Audit").WithSummary("List changes, newest first");

    private static async Task<Results<Ok<Page<AuditView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database, int? limit, string? cursor, string? actor, CancellationToken cancellation)
    {
        var page = new PageRequest(limit, cursor, null);
        if (page.Validate() is { } fault)
        {
            return Problems.Invalid([fault]);
        }

        long before = long.MaxValue;
        if (page.DecodeCursor() is { } key && !long.TryParse(key, out before))
        {
            return Problems.Invalid("?cursor", "is not a cursor of this list");
        }

        var found = await database.Audit.AsNoTracking().Where(r => r.Id < before && (actor == null || r.Actor == actor))
            .OrderByDescending(r => r.Id).Take(page.Size + 1).ToListAsync(cancellation);
        string? next = found.Count > page.Size ? PageRequest.EncodeCursor(found[page.Size - 1].Id.ToString(null, null)) : null;
        return TypedResults.Ok(new Page<AuditView>([.. found.Take(page.Size).Select(r => new AuditView(r.Id, r.At, r.Actor, r.Action, r.Target, r.Status, r.Address, r.TraceId))], next));
    }
}

public sealed record AuditView(long Id, DateTimeOffset At, string Actor, string Action, string Target, int Status, string? Address, string? TraceId);
