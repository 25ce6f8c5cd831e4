using System.Security.Cryptography;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Identity;

/// <summary>
/// Tells a browser in which a user has signed in before from all others. It lets nobody in: it only has tries of its own, which nobody
/// else's guesses use up.
/// </summary>
internal sealed class DeviceCookies(IDataProtectionProvider protection)
{
    private const string Name = "webvm-device";
    private const int IdBytes = 16;
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(365);

    private readonly ITimeLimitedDataProtector _protector = protection.CreateProtector("WebVm.Device").ToTimeLimitedDataProtector();

    /// <summary>The browser's id, if the user has signed in with it before. Null otherwise.</summary>
    public string? Find(HttpRequest request, string user)
    {
        try
        {
            return request.Cookies[Name] is { } cookie && _protector.Unprotect(cookie).Split(' ', 2) is [var id, var owner] && owner == user
                ? id
                : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>The user has signed in with this browser.</summary>
    /// <param name="id">What it was known by.</param>
    public void Remember(HttpContext context, string user, string? id) => context.Response.Cookies.Append(
        Name,
        _protector.Protect($"{id ?? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes))} {user}", Lifetime),
        new CookieOptions { HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = context.Request.IsHttps, MaxAge = Lifetime,
            Path = "/api/v1/session", IsEssential = true });
}
