using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>The browser's sign-in: a cookie that is void once its user is disabled, changes password or role.</summary>
public static class CookieSession
{
    public const string SchemeName = CookieAuthenticationDefaults.AuthenticationScheme;

    private static readonly TimeSpan RevalidateAfter = TimeSpan.FromMinutes(1);
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

    public static async Task SignInAsync(HttpContext context, User user)
    {
        var identity = Principals.Identity(SchemeName, user.Name, user.Id, user.Role, Scopes.Of(user.Role));
        identity.AddClaim(new Claim(Principals.StampClaim, user.SecurityStamp));
        await context.SignInAsync(SchemeName, new ClaimsPrincipal(identity), new AuthenticationProperties { IsPersistent = true });
    }

    private static async Task ValidateAsync(CookieValidatePrincipalContext context)
    {
        if (DateTimeOffset.UtcNow - context.Properties.IssuedUtc < RevalidateAfter)
        {
            return;
        }

        var database = context.HttpContext.RequestServices.GetRequiredService<WebVmDbContext>();
        var id = context.Principal!.UserId();
        var user = await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Id == id, context.HttpContext.RequestAborted);
        if (user is null or { Disabled: true } || user.SecurityStamp != context.Principal!.FindFirstValue(Principals.StampClaim))
        {
            context.RejectPrincipal();
            await context.HttpContext.SignOutAsync(SchemeName);
            return;
        }

        context.ShouldRenew = true;
    }

    private static Task RedirectOrStatus(RedirectContext<CookieAuthenticationOptions> context, int status)
    {
        // Only a person who asks for a page is led to another; programs are told.
        bool wantsPage = HttpMethods.IsGet(context.Request.Method) && context.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal);
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
