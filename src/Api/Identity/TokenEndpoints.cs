using System.Security.Claims;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>
/// <c>/tokens</c>: API tokens. Administrators see and revoke everyone's, who has the scope "account" all of their own; any other token itself and
/// those that it made. What a token makes has no more scopes than it, does not outlive it, and is revoked with it.
/// </summary>
public static class TokenEndpoints
{
    /// <summary>Whoever may sign in may make tokens, but not without end.</summary>
    public const int MostOfOneUser = 1000;

    /// <summary>Tokens that make tokens that make tokens: each is revoked by its maker's row, one within the other.</summary>
    public const int MostGenerations = 8;

    public static void MapTokens(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/tokens").WithTags("Tokens").RequireAuthorization();
        group.MapGet("/", ListAsync).WithSummary("List tokens; their secrets are never shown again");
        group.MapPost("/", CreateAsync).WithSummary("Make a token; the answer shows its secret, once");
        group.MapDelete("/{id:guid}", DeleteAsync).WithSummary("Revoke a token, and those that it made");
    }

    private static async Task<Ok<Page<TokenView>>> ListAsync(HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var found = await FindAsync(context.User, database, cancellation);
        return TypedResults.Ok(new Page<TokenView>([.. found.Select(TokenView.From)], null));
    }

    /// <summary>The tokens that the caller may see and revoke, in the order in which they were made.</summary>
    private static async Task<List<Token>> FindAsync(ClaimsPrincipal caller, WebVmDbContext database, CancellationToken cancellation)
    {
        var owner = caller.UserId();
        bool all = caller.Has(Scopes.Admin);
        var found = await database.Tokens.AsNoTracking().Include(t => t.User).Where(t => all || t.UserId == owner).OrderBy(t => t.Id).ToListAsync(cancellation);
        if (!all && !caller.Has(Scopes.Account))
        {
            HashSet<Guid> own = Right.KeyOf(caller) is { Kind: RightKind.Token } key ? [key.Id] : [];
            foreach (var token in found.OrderBy(token => token.Generation))
            {
                if (token.ParentId is { } parent && own.Contains(parent))
                {
                    own.Add(token.Id);
                }
            }

            found.RemoveAll(token => !own.Contains(token.Id));
        }

        return found;
    }

    private static async Task<Results<Created<NewTokenView>, ProblemHttpResult>> CreateAsync(CreateToken request, HttpContext context, WebVmDbContext database, TimeProvider time, CancellationToken cancellation)
    {
        var faults = Names.Check("/name", request.Name).ToList();
        string[] scopes = [.. (request.Scopes ?? [.. Scopes.All.Where(context.User.Has)]).Distinct(StringComparer.Ordinal)];
        for (int i = 0; i < scopes.Length; i++)
        {
            if (!Scopes.All.Contains(scopes[i]))
            {
                faults.Add(new($"/scopes/{i}", "is not a scope"));
            }
            else if (!context.User.Has(scopes[i]))
            {
                faults.Add(new($"/scopes/{i}", "is more than you may do yourself"));
            }
        }

        if (request.ExpiresAt <= time.GetUtcNow())
        {
            faults.Add(new("/expiresAt", "is in the past"));
        }

        var end = Right.EndOf(context.User);
        if (request.ExpiresAt > end)
        {
            faults.Add(new("/expiresAt", "is later than the end of the token that makes it"));
        }

        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        // The preset token belongs to nobody: what it makes belongs to the first administrator.
        var owner = context.User.UserId() is var id && id != Guid.Empty
            ? await database.Users.AsNoTracking().SingleAsync(u => u.Id == id, cancellation)
            : await database.Users.AsNoTracking().Where(u => u.Role == Role.Admin && !u.Disabled).OrderBy(u => u.Id).FirstAsync(cancellation);
        Guid? parent = Right.KeyOf(context.User) is { Kind: RightKind.Token } key ? key.Id : null;
        int generation = parent is null ? 0 : await database.Tokens.Where(t => t.Id == parent).Select(t => t.Generation).SingleOrDefaultAsync(cancellation) + 1;
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
            ExpiresAt = request.ExpiresAt ?? end,
            ParentId = parent,
            Generation = generation,
        };
        database.Tokens.Add(token);
        await database.SaveChangesAsync(cancellation);
        context.Response.Headers.CacheControl = "no-store";
        return TypedResults.Created($"/api/v1/tokens/{token.Id}", new NewTokenView(token.Id, token.Name, scopes, token.ExpiresAt, secret));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(Guid id, HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        if (!(await FindAsync(context.User, database, cancellation)).Exists(token => token.Id == id))
        {
            return Problems.NotFound("token", id);
        }

        using var change = live.Changing(context);
        return await database.Tokens.Where(t => t.Id == id).ExecuteDeleteAsync(cancellation) > 0 ? TypedResults.NoContent() : Problems.NotFound("token", id);
    }
}

/// <summary>A token as clients see it afterwards.</summary>
/// <param name="MadeBy">The token that made it, and takes it along when it is revoked.</param>
public sealed record TokenView(Guid Id, string Name, string User, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, Guid? MadeBy, DateTimeOffset? LastUsedAt, DateTimeOffset CreatedAt)
{
    public static TokenView From(Token token) => new(token.Id, token.Name, token.User?.Name ?? "", token.Scopes, token.ExpiresAt, token.ParentId, token.LastUsedAt, token.CreatedAt);
}

/// <summary>A new token, with its secret for the only time.</summary>
public sealed record NewTokenView(Guid Id, string Name, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, string Token);

/// <param name="Scopes">What it may do; all that the caller may unless told.</param>
/// <param name="ExpiresAt">When it ends; unless told, with the token that makes it, or never.</param>
public sealed record CreateToken(string Name, IReadOnlyList<string>? Scopes = null, DateTimeOffset? ExpiresAt = null);
