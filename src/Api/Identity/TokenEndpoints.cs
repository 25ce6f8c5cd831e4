using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary><c>/tokens</c>: the caller's API tokens; administrators see everyone's.</summary>
public static class TokenEndpoints
{
    /// <summary>Whoever may sign in may make tokens, but not without end.</summary>
    public const int MostOfOneUser = 1000;

    public static void MapTokens(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/tokens").WithTags("Tokens").RequireAuthorization();
        group.MapGet("/", ListAsync).WithSummary("List tokens; their secrets are never shown again");
        group.MapPost("/", CreateAsync).WithSummary("Make a token; the answer shows its secret, once");
        group.MapDelete("/{id:guid}", DeleteAsync).WithSummary("Revoke a token");
    }

    private static async Task<Ok<Page<TokenView>>> ListAsync(HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var owner = context.User.UserId();
        bool all = context.User.Has(Scopes.Admin);
        var found = await database.Tokens.AsNoTracking().Include(t => t.User).Where(t => all || t.UserId == owner).OrderBy(t => t.Id).ToListAsync(cancellation);
        return TypedResults.Ok(new Page<TokenView>([.. found.Select(TokenView.From)], null));
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

        // The preset token belongs to nobody: what it makes belongs to the first administrator.
        var owner = context.User.UserId() is var id && id != Guid.Empty
            ? await database.Users.AsNoTracking().SingleAsync(u => u.Id == id, cancellation)
            : await database.Users.AsNoTracking().Where(u => u.Role == Role.Admin).OrderBy(u => u.Id).FirstAsync(cancellation);
        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        if (await database.Tokens.CountAsync(t => t.UserId == owner.Id, cancellation) >= MostOfOneUser)
        {
            return Problems.Conflict($"There are {MostOfOneUser} tokens of {owner.Name}; revoke some first.");
        }

        string secret = Secrets.NewToken();
        var token = new Token { Name = request.Name, UserId = owner.Id, SecretHash = Secrets.HashToken(secret), Scopes = scopes, ExpiresAt = request.ExpiresAt };
        database.Tokens.Add(token);
        await database.SaveChangesAsync(cancellation);
        context.Response.Headers.CacheControl = "no-store";
        return TypedResults.Created($"/api/v1/tokens/{token.Id}", new NewTokenView(token.Id, token.Name, scopes, token.ExpiresAt, secret));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(Guid id, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var owner = context.User.UserId();
        bool all = context.User.Has(Scopes.Admin);
        int deleted = await database.Tokens.Where(t => t.Id == id && (all || t.UserId == owner)).ExecuteDeleteAsync(cancellation);
        return deleted > 0 ? TypedResults.NoContent() : Problems.NotFound("token", id);
    }
}

/// <summary>A token as clients see it afterwards.</summary>
public sealed record TokenView(Guid Id, string Name, string User, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, DateTimeOffset? LastUsedAt, DateTimeOffset CreatedAt)
{
    public static TokenView From(Token token) => new(token.Id, token.Name, token.User?.Name ?? "", token.Scopes, token.ExpiresAt, token.LastUsedAt, token.CreatedAt);
}

/// <summary>A new token, with its secret for the only time.</summary>
public sealed record NewTokenView(Guid Id, string Name, IReadOnlyList<string> Scopes, DateTimeOffset? ExpiresAt, string Token);

/// <param name="Scopes">What it may do; all that the caller may unless told.</param>
/// <param name="ExpiresAt">When it ends; never unless told.</param>
public sealed record CreateToken(string Name, IReadOnlyList<string>? Scopes = null, DateTimeOffset? ExpiresAt = null);
