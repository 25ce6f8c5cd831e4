using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.AspNetCore.Components.Server;
using WebVm.Api.Identity;

namespace WebVm.Web;

/// <summary>
/// Signs open pages out when their session has ended. Their connection is broken off then; this is for one that was lost before, and finds
/// its page again.
/// </summary>
public sealed class SessionRevalidation(StandingRights rights, ILoggerFactory logs) : RevalidatingServerAuthenticationStateProvider(logs)
{
    protected override TimeSpan RevalidationInterval => TimeSpan.FromSeconds(30);

    protected override async Task<bool> ValidateAuthenticationStateAsync(
        AuthenticationState authenticationState, CancellationToken cancellationToken) =>
        Right.KeyOf(authenticationState.User) is { } key && await rights.FindAsync(key, cancellationToken) is not null;
}
