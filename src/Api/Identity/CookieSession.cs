using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>
/// The browser's sign-in. The cookie says which session it is of; whether that stands, whose it is and what they may do is read from the
/// database with every request, so that a copy of the cookie is worth nothing once the session has ended.
/// </summary>
public static class CookieSession
{
    public const string SchemeName = CookieAuthenticationDefaults.AuthenticationScheme;

    /// <summary>Of one user; another ends the one that was not used for longest.</summary>
    public const int MostOfOneUser = 50;

    private const int LongestAgent = 256;

    // A write for every request would make reads as costly as writes.
    private static readonly TimeSpan LastUsedPrecision = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    public static void Configure(CookieAuthenticationOptions options)
    {
        options.Cookie.Name = "webvm";
        options.Cookie.HttpOnly = true;
        options.Cookie.SameSite = SameSiteMode.Lax;
        options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        options.ExpireTimeSpan = Lifetime;
        options.SlidingExpiration = true;
        options.LoginPath = "/sign-in";
        options.AccessDeniedPath = "/forbidden";
        options.Events.OnValidatePrincipal = ValidateAsync;
        options.Events.OnRedirectToLogin = context => RedirectOrStatus(context, StatusCodes.Status401Unauthorized);
        options.Events.OnRedirectToAccessDenied = context => RedirectOrStatus(context, StatusCodes.Status403Forbidden);
    }

    /// <summary>Begins a session; one that the browser had before ends.</summary>
    public static async Task SignInAsync(HttpContext context, User user, bool byLink = false)
    {
        var services = context.RequestServices;
        var database = services.GetRequiredService<WebVmDbContext>();
        var now = services.GetRequiredService<TimeProvider>().GetUtcNow();
        await EndOwnAsync(context);
        var session = new Session
        {
            UserId = user.Id,
            ByLink = byLink,
            Address = context.Connection.RemoteIpAddress?.ToString(),
            Agent = AgentOf(context.Request),
            CreatedAt = now,
            LastUsedAt = now,
            ExpiresAt = now + Lifetime,
        };
        database.Sessions.Add(session);
        await database.SaveChangesAsync(context.RequestAborted);
        await database.Sessions.Where(s => s.UserId == user.Id).OrderByDescending(s => s.LastUsedAt).ThenByDescending(s => s.Id)
            .Skip(MostOfOneUser).ExecuteDeleteAsync(context.RequestAborted);
        var right = new Right(new(RightKind.Session, session.Id), user.Id, user.Name, user.Role, Scopes.Of(user.Role));
        await context.SignInAsync(SchemeName, right.ToPrincipal(SchemeName), new AuthenticationProperties { IsPersistent = true });
    }

    /// <summary>Ends the session by which the caller came in, here and in every copy of its cookie.</summary>
    public static async Task SignOutAsync(HttpContext context)
    {
        await EndOwnAsync(context);
        await context.SignOutAsync(SchemeName);
    }

    private static async Task EndOwnAsync(HttpContext context)
    {
        if (Right.KeyOf(context.User) is { Kind: RightKind.Session, Id: var id })
        {
            using var change = context.RequestServices.GetRequiredService<LiveRights>().Changing(context);
            await context.RequestServices.GetRequiredService<WebVmDbContext>().Sessions.Where(s => s.Id == id)
                .ExecuteDeleteAsync(context.RequestAborted);
        }
    }

    private static async Task ValidateAsync(CookieValidatePrincipalContext context)
    {
        var http = context.HttpContext;
        var database = http.RequestServices.GetRequiredService<WebVmDbContext>();
        var now = http.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();
        var id = Right.KeyOf(context.Principal!) is { Kind: RightKind.Session } key ? key.Id : Guid.Empty;
        var session = await database.Sessions.AsNoTracking().Include(s => s.User)
            .SingleOrDefaultAsync(s => s.Id == id, http.RequestAborted);
        if (session is null || Right.Of(session, now) is not { } right)
        {
            context.RejectPrincipal();
            await http.SignOutAsync(SchemeName);
            return;
        }

        if (now - session.LastUsedAt > LastUsedPrecision)
        {
            string? address = http.Connection.RemoteIpAddress?.ToString();
            await database.Sessions.Where(s => s.Id == id).ExecuteUpdateAsync(
                set => set.SetProperty(s => s.LastUsedAt, now).SetProperty(s => s.ExpiresAt, now + Lifetime)
                    .SetProperty(s => s.Address, address),
                http.RequestAborted);
        }

        context.ReplacePrincipal(right.ToPrincipal(SchemeName));
    }

    // Shown to its owner alone, but stored as it comes: without what no database takes, and not without end.
    private static string? AgentOf(HttpRequest request)
    {
        string agent = new([.. request.Headers.UserAgent.ToString().Where(c => c is >= ' ' and <= '~').Take(LongestAgent)]);
        return agent.Length == 0 ? null : agent;
    }

    private static Task RedirectOrStatus(RedirectContext<CookieAuthenticationOptions> context, int status)
    {
        // Only a person who asks for a page is led to another; programs are told.
        bool wantsPage = HttpMethods.IsGet(context.Request.Method)
            && context.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal);
        if (wantsPage)
        {
            context.Response.Redirect(context.RedirectUri);
        }
        else
        {
            context.Response.StatusCode = status;
        }

        return Task.CompletedTask;
    }
}
