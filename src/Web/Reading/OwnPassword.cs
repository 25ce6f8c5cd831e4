using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;

namespace WebVm.Web.Reading;

/// <summary>Whether somebody has a password: who came in by the one-time link has none at first.</summary>
public sealed class OwnPassword(IDbContextFactory<WebVmDbContext> databases)
{
    public async Task<bool> IsMissingAsync(ClaimsPrincipal user)
    {
        if (user.Identity?.IsAuthenticated != true)
        {
            return false;
        }

        var id = user.UserId();
        await using var database = await databases.CreateDbContextAsync();
        return await database.Users.AnyAsync(u => u.Id == id && u.PasswordHash == null);
    }
}
