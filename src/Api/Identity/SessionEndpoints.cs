using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Audit;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary><c>/session</c>: signing a browser in and out.</summary>
public static class SessionEndpoints
{
    public const string RateLimit = "sign-in";

    /// <summary>The target of the one-time link that is printed at the start.</summary>
    public const string LinkPath = "/sign-in/link";

    public static void MapSession(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/session").WithTags("Session");
        group.MapPost("/", SignInAsync).AllowAnonymous().RequireRateLimiting(RateLimit).WithSummary("Sign in with name and password; sets a cookie");
        group.MapDelete("/", (Delegate)SignOutAsync).RequireAuthorization().WithSummary("Sign out");
        group.MapGet("/", Read).RequireAuthorization().WithSummary("Who the caller is and what they may do");
    }

    public static void MapSignInLink(this IEndpointRouteBuilder root) =>
        root.MapGet(LinkPath, UseLinkAsync).AllowAnonymous().RequireRateLimiting(RateLimit).ExcludeFromDescription();

    private static async Task<Results<Ok<SessionView>, ProblemHttpResult>> SignInAsync(Body<SignIn> body, HttpContext context, WebVmDbContext database, GuessLimits limits, CancellationToken cancellation)
    {
        var request = body.Value;
        // What cannot be a name is no one's, and may be a password in the wrong field.
        AuditNote.Take(context, Names.Check("/name", request.Name).Any() ? null : request.Name);
        if (request.Name.Length <= Names.LongestName && !limits.TryAccount(request.Name, out var retryAfter))
        {
            GuessLimits.SetRetryAfter(context.Response, retryAfter);
            return Problems.TooMany("There were too many tries to sign in with this name.");
        }

        var user = await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Name == request.Name, cancellation);
        bool matches = request.Password.Length <= Passwords.Longest && Secrets.VerifyPassword(request.Password, user?.PasswordHash);
        if (!matches || user is null or { Disabled: true })
        {
            return Problems.Create(ProblemTypes.Unauthenticated, "The name or the password is wrong.");
        }

        AuditNote.Take(context, user.Name);
        await CookieSession.SignInAsync(context, user);
        return TypedResults.Ok(new SessionView(user.Name, user.Role, Scopes.Of(user.Role)));
    }

    private static async Task<NoContent> SignOutAsync(HttpContext context)
    {
        await context.SignOutAsync(CookieSession.SchemeName);
        return TypedResults.NoContent();
    }

    private static Ok<SessionView> Read(HttpContext context) => TypedResults.Ok(new SessionView(
        context.User.Actor(),
        Enum.TryParse<Role>(context.User.FindFirst(System.Security.Claims.ClaimTypes.Role)?.Value, out var role) ? role : Role.Viewer,
        [.. context.User.FindAll(Principals.ScopeClaim).Select(claim => claim.Value)]));

    private static async Task<IResult> UseLinkAsync(string? code, HttpContext context, SignInLinks links, WebVmDbContext database, CancellationToken cancellation)
    {
        if (code is null || !links.TryUse(code))
        {
            AuditNote.Take(context, null, StatusCodes.Status401Unauthorized);
            return TypedResults.Redirect("/sign-in?reason=link");
        }

        var admin = await database.Users.AsNoTracking().Where(u => u.Role == Role.Admin && !u.Disabled).OrderBy(u => u.Id).FirstAsync(cancellation);
        AuditNote.Take(context, admin.Name);
        await CookieSession.SignInAsync(context, admin);
        return TypedResults.Redirect("/");
    }
}

public sealed record SignIn(string Name, string Password);

/// <summary>The caller.</summary>
public sealed record SessionView(string Name, Role Role, IReadOnlyList<string> Scopes);
