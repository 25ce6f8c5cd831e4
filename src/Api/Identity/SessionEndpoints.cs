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
    /// <summary>The target of one-time links.</summary>
    public const string LinkPath = "/sign-in/link";

    public static void MapSession(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/session").WithTags("Session");
        group.MapPost("/", SignInAsync).AllowAnonymous().WithSummary("Sign in with name and password; sets a cookie")
            .WithDescription(
                "429 with Retry-After after too many wrong tries from one address, or by a browser that is known. For a name that many "
                + "guess at, unknown browsers wait up to three seconds for the answer.");
        group.MapDelete("/", (Delegate)SignOutAsync).RequireAuthorization()
            .WithSummary("Sign out: ends the session and all that is open in it");
        group.MapGet("/", Read).RequireAuthorization().WithSummary("Who the caller is and what they may do");
    }

    public static void MapSignInLink(this IEndpointRouteBuilder root) =>
        root.MapGet(LinkPath, UseLinkAsync).AllowAnonymous().ExcludeFromDescription();

    private static async Task<Results<Ok<SessionView>, ProblemHttpResult>> SignInAsync(
        Body<SignIn> body, HttpContext context, WebVmDbContext database, GuessLimits limits, DeviceCookies devices,
        CancellationToken cancellation)
    {
        var request = body.Value;
        var address = context.Connection.RemoteIpAddress;
        string? device = devices.Find(context.Request, request.Name);
        if (!limits.TrySignIn(address, device, out var retryAfter))
        {
            GuessLimits.SetRetryAfter(context.Response, retryAfter);
            return Problems.TooMany("There were too many tries to sign in from here.");
        }

        // What cannot be a name is no one's, and may be a password in the wrong field.
        bool isName = !Names.Check("/name", request.Name).Any();
        if (device is null && isName)
        {
            await Task.Delay(limits.SlowDown(request.Name), cancellation);
        }

        var user = isName ? await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Name == request.Name, cancellation) : null;
        bool? matches = await limits.InTurnAsync(
            device is not null, () => request.Password.Length <= Passwords.Longest
                && Secrets.VerifyPassword(request.Password, user?.PasswordHash),
            cancellation);
        if (matches is null)
        {
            GuessLimits.SetRetryAfter(context.Response, TimeSpan.FromSeconds(1));
            return Problems.TooMany("Too many are signing in at this moment.");
        }

        AuditNote.Take(context, isName ? request.Name : null);
        if (matches == false || user is null or { Disabled: true })
        {
            if (device is null && isName)
            {
                limits.WasWrong(request.Name);
            }

            return Problems.Create(ProblemTypes.Unauthenticated, "The name or the password is wrong.");
        }

        limits.WasRight(address, device);
        AuditNote.Take(context, user.Name);
        await CookieSession.SignInAsync(context, user);
        devices.Remember(context, user.Name, device);
        return TypedResults.Ok(new SessionView(user.Name, user.Role, Scopes.Of(user.Role)));
    }

    private static async Task<NoContent> SignOutAsync(HttpContext context)
    {
        await CookieSession.SignOutAsync(context);
        return TypedResults.NoContent();
    }

    private static Ok<SessionView> Read(HttpContext context) => TypedResults.Ok(new SessionView(
        context.User.Actor(),
        Enum.TryParse<Role>(context.User.FindFirst(System.Security.Claims.ClaimTypes.Role)?.Value, out var role) ? role : Role.Viewer,
        [.. context.User.FindAll(Principals.ScopeClaim).Select(claim => claim.Value)]));

    private static async Task<IResult> UseLinkAsync(
        string? code, HttpContext context, SignInLinks links, WebVmDbContext database, GuessLimits limits, CancellationToken cancellation)
    {
        var address = context.Connection.RemoteIpAddress;
        if (!limits.TrySignIn(address, null, out var retryAfter))
        {
            GuessLimits.SetRetryAfter(context.Response, retryAfter);
            return Problems.TooMany("There were too many tries to sign in from here.");
        }

        if (code is null || !links.TryUse(code))
        {
            AuditNote.Take(context, null, StatusCodes.Status401Unauthorized);
            return TypedResults.Redirect("/sign-in?reason=link");
        }

        limits.WasRight(address, null);
        var admin = await database.Users.AsNoTracking().Where(u => u.Role == Role.Admin && !u.Disabled).OrderBy(u => u.Id)
            .FirstAsync(cancellation);
        AuditNote.Take(context, admin.Name);
        await CookieSession.SignInAsync(context, admin, byLink: true);
        return TypedResults.Redirect("/");
    }
}

public sealed record SignIn(string Name, string Password);

/// <summary>The caller.</summary>
public sealed record SessionView(string Name, Role Role, IReadOnlyList<string> Scopes);
