using System.Security.Claims;
using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.AspNetCore.Components.Server;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;

namespace WebVm.Web;

/// <summary>Signs open pages out when their user is disabled or gets another password or role.</summary>
public sealed class SessionRevalidation(IDbContextFactory<WebVmDbContext> databases, ILoggerFactory logs) : RevalidatingServerAuthenticationStateProvider(logs)
{
    protected override TimeSpan RevalidationInterval => TimeSpan.FromSeconds(30);

    protected override async Task<bool> ValidateAuthenticationStateAsync(AuthenticationState authenticationState, CancellationToken cancellationToken)
    {
        if (authenticationState.User.FindFirstValue(Principals.StampClaim) is not { } stamp)
        {
            return false;
        }

        var id = authenticationState.User.UserId();
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var user = await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Id == id, cancellationToken);
        return user is { Disabled: false } && user.SecurityStamp == stamp;
    }
}
