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

/// <summary><c>/sessions</c> and <c>/session/password</c>: what users do with their own account.</summary>
public static class AccountEndpoints
{
    public static void MapAccount(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/sessions").WithTags("Session").RequireScope(Scopes.Account);
        group.MapGet("/", ListAsync).WithSummary("List the browsers in which the caller is signed in, by their last use");
        group.MapDelete("/{id:guid}", EndAsync).WithName("endSession").WithSummary("End a session, and all that is open in it");
        group.MapDelete("/", EndOthersAsync).WithSummary("End all sessions of the caller but the one that asks");
        api.MapPut("/session/password", ChangePasswordAsync).WithTags("Session").RequireScope(Scopes.Account)
            .WithSummary("Change the caller's own password; their other sessions end")
            .WithDescription(
                "current is the password so far. A browser that was signed in by a one-time link within the last hour need not know "
                + "it, once. Tokens go on.");
    }

    private static async Task<Ok<Page<SessionOfUserView>>> ListAsync(
        HttpContext context, WebVmDbContext database, TimeProvider time, CancellationToken cancellation)
    {
        var (owner, own, now) = (context.User.UserId(), Own(context.User), time.GetUtcNow());
        var found =
            await database.Sessions.AsNoTracking().Where(s => s.UserId == owner && s.ExpiresAt > now).OrderByDescending(s => s.LastUsedAt)
                .ThenBy(s => s.Id).ToListAsync(cancellation);
        return TypedResults.Ok(
            new Page<SessionOfUserView>(
                [.. found.Select(
                    s => new SessionOfUserView(s.Id, s.Id == own, s.Agent, s.Address, s.CreatedAt, s.LastUsedAt, s.ExpiresAt))],
                null));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> EndAsync(
        Guid id, HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        var owner = context.User.UserId();
        using var change = live.Changing(context);
        return await database.Sessions.Where(s => s.Id == id && s.UserId == owner).ExecuteDeleteAsync(cancellation) > 0
            ? TypedResults.NoContent()
            : Problems.NotFound("session", id);
    }

    private static async Task<NoContent> EndOthersAsync(
        HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        var (owner, own) = (context.User.UserId(), Own(context.User));
        using var change = live.Changing(context);
        await database.Sessions.Where(s => s.UserId == owner && s.Id != own).ExecuteDeleteAsync(cancellation);
        return TypedResults.NoContent();
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> ChangePasswordAsync(
        Body<ChangePassword> body, HttpContext context, WebVmDbContext database, GuessLimits limits, LiveRights live, TimeProvider time,
        CancellationToken cancellation)
    {
        if (Right.KeyOf(context.User) is not { } key)
        {
            return Problems.Conflict("The preset token has no password.");
        }

        var request = body.Value;
        var id = context.User.UserId();
        // Whoever sits down at somebody's open browser must not find the password by trying. A token makes others at will: all of a user's
        // are one.
        string guesser = key.Kind == RightKind.Token ? $"tokens of {id}" : key.ToString();
        if (!limits.TrySignIn(null, guesser, out var retryAfter))
        {
            GuessLimits.SetRetryAfter(context.Response, retryAfter);
            return Problems.TooMany("There were too many wrong passwords.");
        }

        string? known = await database.Users.Where(u => u.Id == id).Select(u => u.PasswordHash).SingleOrDefaultAsync(cancellation);
        var since = time.GetUtcNow() - SignInLinks.Lifetime;
        bool byLink = key.Kind == RightKind.Session
            && await database.Sessions.AnyAsync(s => s.Id == key.Id && s.ByLink && s.CreatedAt > since, cancellation);
        if (known is null && key.Kind != RightKind.Session)
        {
            // A token would make itself a right to all that its user may.
            return Problems.Forbidden("There is no password yet. The first one is set in a browser that is signed in.");
        }

        // What is given is right, even where it need not be given.
        if (known is not null && (!byLink || request.Current is { Length: > 0 })
            && await limits.InTurnAsync(
                true, () => request.Current?.Length <= Passwords.Longest && Secrets.VerifyPassword(request.Current, known),
                cancellation) != true)
        {
            return Problems.Invalid("/current", "is not the password");
        }

        limits.WasRight(null, guesser);
        string hash = Secrets.HashPassword(request.Password);
        var own = Own(context.User);
        using var change = live.Changing(context);
        bool changed = await database.InTransactionAsync(
            async () =>
            {
                // Not if somebody else, an administrator above all, has set one meanwhile.
                int rows = await database.Users.Where(u => u.Id == id && u.PasswordHash == known)
                    .ExecuteUpdateAsync(
                        set => set.SetProperty(u => u.PasswordHash, hash).SetProperty(u => u.Revision, u => u.Revision + 1), cancellation);
                if (rows > 0)
                {
                    await database.Sessions.Where(s => s.UserId == id && s.Id != own).ExecuteDeleteAsync(cancellation);
                    // The link has done what it was for: the next password needs this one.
                    await database.Sessions.Where(s => s.Id == own)
                        .ExecuteUpdateAsync(set => set.SetProperty(s => s.ByLink, false), cancellation);
                }

                return rows > 0;
            },
            cancellation);
        return changed ? TypedResults.NoContent() : Problems.Conflict("The password was changed meanwhile.");
    }

    private static Guid Own(ClaimsPrincipal caller) => Right.KeyOf(caller) is { Kind: RightKind.Session } key ? key.Id : Guid.Empty;
}

/// <summary>A browser in which the caller is signed in.</summary>
/// <param name="Current">Whether it is the one that asks.</param>
/// <param name="Agent">What the browser says that it is.</param>
/// <param name="Address">Where it was when it was used last.</param>
/// <param name="LastUsedAt">To five minutes.</param>
public sealed record SessionOfUserView(
    Guid Id, bool Current, string? Agent, string? Address, DateTimeOffset CreatedAt, DateTimeOffset LastUsedAt, DateTimeOffset ExpiresAt);

/// <param name="Current">The password so far.</param>
public sealed record ChangePassword(string Password, string? Current = null) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Passwords.Check("/password", Password));
        return ValueTask.CompletedTask;
    }
}
