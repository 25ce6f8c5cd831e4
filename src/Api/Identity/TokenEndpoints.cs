using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Security.Claims;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>
/// <c>/tokens</c>: API tokens. Administrators see and revoke everyone's, who has the scope "account" all of their own; any other token
/// itself and those that it made. What a token makes has no more scopes than it, does not outlive it, and is revoked with it.
/// </summary>
public static class TokenEndpoints
{
    /// <summary>Whoever may sign in may make tokens, but not without end.</summary>
    public const int MostOfOneUser = 1000;

    /// <summary>Tokens that make tokens that make tokens: each is revoked by its maker's row, one within the other.</summary>
    public const int MostGenerations = 8;

    // A token has no settings that could change: its revision is always the first.
    private const long Revision = 1;

    private static readonly ListOrders<Token> s_orders = new(
        all: true, ListOrder<Token>.ById("createdAt", token => token.Id),
        ListOrder<Token>.ById("-createdAt", token => token.Id, descending: true));

    public static void MapTokens(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/tokens").WithTags("Tokens").RequireAuthorization();
        group.MapGet("/", ListAsync).Sorts(s_orders).WithSummary("List tokens; their secrets are never shown again");
        group.MapGet("/{id:guid}", GetAsync).WithSummary("Read a token, without its secret");
        group.MapPost("/", CreateAsync).WithSummary("Make a token; the answer shows its secret, once");
        group.MapDelete("/{id:guid}", DeleteAsync).Conditional().WithSummary("Revoke a token, and those that it made");
    }

    private static async Task<Results<Ok<Page<TokenView>>, ProblemHttpResult>> ListAsync(
        HttpContext context,
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitOfAllMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this name.")] string? name,
        CancellationToken cancellation)
    {
        var visible = (await VisibleAsync(context.User, database, cancellation)).Where(t => name == null || t.Name == name);
        var (page, refusal) = await s_orders.ReadAsync(visible, new PageRequest(limit, cursor, sort), cancellation);
        return page is null ? refusal! : TypedResults.Ok(page.Select(TokenView.From));
    }

    /// <summary>
    /// The tokens that the caller may see and revoke: without the right to its user's account, a token has itself and what it made.
    /// </summary>
    private static async Task<IQueryable<Token>> VisibleAsync(
        ClaimsPrincipal caller, WebVmDbContext database, CancellationToken cancellation)
    {
        var owner = caller.UserId();
        bool all = caller.Has(Scopes.Admin);
        var tokens = database.Tokens.AsNoTracking().Include(t => t.User).Where(t => all || t.UserId == owner);
        if (all || caller.Has(Scopes.Account))
        {
            return tokens;
        }

        HashSet<Guid> own = Right.KeyOf(caller) is { Kind: RightKind.Token } key ? [key.Id] : [];
        foreach (var token in await database.Tokens.AsNoTracking().Where(t => t.UserId == owner).OrderBy(t => t.Generation)
            .Select(t => new { t.Id, t.ParentId }).ToListAsync(cancellation))
        {
            if (token.ParentId is { } parent && own.Contains(parent))
            {
                own.Add(token.Id);
            }
        }

        return tokens.Where(t => own.Contains(t.Id));
    }

    private static async Task<Results<Ok<TokenView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await (await VisibleAsync(context.User, database, cancellation)).SingleOrDefaultAsync(
            t => t.Id == id, cancellation) is not { } token)
        {
            return Problems.NotFound("token", id);
        }

        context.Response.SetETag(Revision);
        return TypedResults.Ok(TokenView.From(token));
    }

    private static async Task<Results<Created<NewTokenView>, ProblemHttpResult>> CreateAsync(
        Body<CreateToken> body, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var request = body.Value;
        string[] scopes = [.. (request.Scopes ?? [.. Scopes.All.Where(context.User.Has)]).Distinct(StringComparer.Ordinal)];

        // The preset token belongs to nobody: what it makes belongs to the first administrator.
        var owner = context.User.UserId() is var id && id != Guid.Empty
            ? await database.Users.AsNoTracking().SingleAsync(u => u.Id == id, cancellation)
            : await database.Users.AsNoTracking().Where(u => u.Role == Role.Admin && !u.Disabled).OrderBy(u => u.Id)
                .FirstAsync(cancellation);
        Guid? parent = Right.KeyOf(context.User) is { Kind: RightKind.Token } key ? key.Id : null;
        int generation = parent is null
            ? 0
            : await database.Tokens.Where(t => t.Id == parent).Select(t => t.Generation).SingleOrDefaultAsync(cancellation) + 1;
        if (generation >= MostGenerations)
        {
            return Problems.Conflict($"There are {MostGenerations} tokens already of which each made the next.");
        }

        if (await database.Tokens.CountAsync(t => t.UserId == owner.Id, cancellation) >= MostOfOneUser)
        {
            return Problems.Conflict($"There are {MostOfOneUser} tokens of {owner.Name}; revoke some first.");
        }

        string secret = Secrets.NewToken();
        var token = new Token
        {
            Name = request.Name,
            UserId = owner.Id,
            SecretHash = Secrets.HashToken(secret),
            Scopes = scopes,
            ExpiresAt = request.ExpiresAt ?? Right.EndOf(context.User),
            ParentId = parent,
            Generation = generation,
        };
        database.Tokens.Add(token);
        await database.SaveChangesAsync(cancellation);
        context.Response.Headers.CacheControl = "no-store";
        return TypedResults.Created($"/api/v1/tokens/{token.Id}", new NewTokenView(token.Id, token.Name, scopes, token.ExpiresAt, secret));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(
        Guid id, HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        if (!await (await VisibleAsync(context.User, database, cancellation)).AnyAsync(t => t.Id == id, cancellation))
        {
            return Problems.NotFound("token", id);
        }

        if (context.Request.CheckIfMatch(Revision) is { } stale)
        {
            return stale;
        }

        using var change = live.Changing(context);
        return await database.Tokens.Where(t => t.Id == id).ExecuteDeleteAsync(cancellation) > 0
            ? TypedResults.NoContent()
            : Problems.NotFound("token", id);
    }
}

/// <summary>A token as clients see it afterwards.</summary>
/// <param name="MadeBy">The token that made it, and takes it along when it is revoked.</param>
public sealed record TokenView(
    Guid Id, string Name, string User, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, Guid? MadeBy, DateTimeOffset? LastUsedAt,
    DateTimeOffset CreatedAt)
{
    public static TokenView From(Token token) =>
        new(token.Id, token.Name, token.User?.Name ?? "", token.Scopes, token.ExpiresAt, token.ParentId, token.LastUsedAt, token.CreatedAt);
}

/// <summary>A new token, with its secret for the only time.</summary>
public sealed record NewTokenView(Guid Id, string Name, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, string Token);

/// <param name="Scopes">What it may do; all that the caller may unless told.</param>
/// <param name="ExpiresAt">When it ends; unless told, with the token that makes it, or never.</param>
public sealed record CreateToken(string Name, IReadOnlyList<string>? Scopes = null, DateTimeOffset? ExpiresAt = null) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Names.Check("/name", Name));
        check.Add(Faults(Scopes ?? [], ExpiresAt, check.Context));
        return ValueTask.CompletedTask;
    }

    private static IEnumerable<FieldFault> Faults(IReadOnlyList<string> scopes, DateTimeOffset? expiresAt, HttpContext context)
    {
        for (int i = 0; i < scopes.Count; i++)
        {
            if (!Identity.Scopes.All.Contains(scopes[i]))
            {
                yield return new($"/scopes/{i}", $"must be one of {string.Join(", ", Identity.Scopes.All)}");
            }
            else if (!context.User.Has(scopes[i]))
            {
                yield return new($"/scopes/{i}", "is more than you may do yourself");
            }
        }

        if (expiresAt <= context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow())
        {
            yield return new("/expiresAt", "is in the past");
        }

        if (expiresAt > Right.EndOf(context.User))
        {
            yield return new("/expiresAt", "is later than the end of the token that makes it");
        }
    }
}
