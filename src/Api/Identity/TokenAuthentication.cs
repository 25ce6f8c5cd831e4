using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Console;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Identity;

/// <summary>Authenticates <c>Authorization: Bearer wvm_…</c>; for WebSockets and event streams also <c>?access_token=</c>.</summary>
internal sealed class TokenAuthentication(
    IOptionsMonitor<AuthenticationSchemeOptions> options,
    ILoggerFactory logger,
    UrlEncoder encoder,
    WebVmDbContext database,
    IOptions<ServiceOptions> service,
    ConsoleTickets tickets,
    StandingRights standing,
    GuessLimits limits,
    TimeProvider time)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "Token";

    // A write for every request would make reads as costly as writes.
    private static readonly TimeSpan LastUsedPrecision = TimeSpan.FromMinutes(5);

    private TimeSpan? _retryAfter;

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (Presented() is not { } token)
        {
            return AuthenticateResult.NoResult();
        }

        if (service.Value.AdminToken is { Length: > 0 } preset
            && CryptographicOperations.FixedTimeEquals(
                SHA256.HashData(Encoding.UTF8.GetBytes(token)), SHA256.HashData(Encoding.UTF8.GetBytes(preset))))
        {
            return Success(new Right(null, Guid.Empty, Principals.PresetToken, Role.Admin, Scopes.All));
        }

        if (token.StartsWith(ConsoleTickets.Prefix, StringComparison.Ordinal))
        {
            return await ReadTicketAsync(token);
        }

        byte[] hash = Secrets.HashToken(token);
        var found = await database.Tokens.AsNoTracking().Include(t => t.User)
            .SingleOrDefaultAsync(t => t.SecretHash == hash, Context.RequestAborted);
        var now = time.GetUtcNow();
        if (found is null || Right.Of(found, now) is not { } right)
        {
            return Wrong("The token is unknown, expired, or its user is disabled.");
        }

        if (found.LastUsedAt is null || now - found.LastUsedAt > LastUsedPrecision)
        {
            await database.Tokens.Where(t => t.Id == found.Id)
                .ExecuteUpdateAsync(set => set.SetProperty(t => t.LastUsedAt, now), Context.RequestAborted);
        }

        return Success(right);
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        if (_retryAfter is { } wait)
        {
            GuessLimits.SetRetryAfter(Response, wait);
            Response.StatusCode = StatusCodes.Status429TooManyRequests;
            return Task.CompletedTask;
        }

        Response.StatusCode = 401;
        Response.Headers.WWWAuthenticate = Presented() is null ? Challenges.Bearer : Challenges.InvalidToken;
        return Task.CompletedTask;
    }

    private AuthenticateResult Wrong(string reason)
    {
        if (!limits.TryToken(Context.Connection.RemoteIpAddress, out var wait))
        {
            _retryAfter = wait;
        }

        return AuthenticateResult.Fail(reason);
    }

    /// <summary>
    /// Console tickets open the hubs, and there one VM; nothing else. They are worth what the right still is that made them.
    /// </summary>
    private async Task<AuthenticateResult> ReadTicketAsync(string text)
    {
        if (!Request.Path.StartsWithSegments("/hubs", StringComparison.Ordinal) || tickets.Read(text) is not { } ticket)
        {
            return Wrong("The console ticket is over.");
        }

        var right = new Right(RightKey.Parse(ticket.By), ticket.User, ticket.Name, ticket.Role, ticket.Scopes);
        if (right.Key is { } key)
        {
            if (await standing.FindAsync(key, Context.RequestAborted) is not { } maker)
            {
                return Wrong("The right that made the console ticket has ended.");
            }

            right = maker with { Scopes = [.. ticket.Scopes.Intersect(maker.Scopes)] };
        }

        var caller = right.ToPrincipal(SchemeName);
        ((ClaimsIdentity)caller.Identity!).AddClaim(new Claim(ConsoleTickets.VmClaim, ticket.Vm.ToString()));
        return AuthenticateResult.Success(new AuthenticationTicket(caller, SchemeName));
    }

    private static AuthenticateResult Success(Right right) =>
        AuthenticateResult.Success(new AuthenticationTicket(right.ToPrincipal(SchemeName), SchemeName));

    private string? Presented()
    {
        string header = Request.Headers.Authorization.ToString();
        const string bearer = "Bearer ";
        if (header.StartsWith(bearer, StringComparison.OrdinalIgnoreCase))
        {
            return header[bearer.Length..].Trim();
        }

        return Request.Path.StartsWithSegments("/hubs", StringComparison.Ordinal)
            && Request.Query.TryGetValue("access_token", out var query) ? query.ToString() : null;
    }
}
