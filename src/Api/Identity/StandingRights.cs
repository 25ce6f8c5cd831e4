using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;

namespace WebVm.Api.Identity;

/// <summary>Which rights stand, as the database has them: what another service took back counts as what this one did.</summary>
public sealed class StandingRights(IDbContextFactory<WebVmDbContext> databases, TimeProvider time)
{
    /// <summary>Null when the right has ended.</summary>
    public async Task<Right?> FindAsync(RightKey key, CancellationToken cancellation) =>
        (await FindAsync([key], cancellation)).GetValueOrDefault(key);

    /// <summary>Those that stand. Two queries at most, however many are asked for.</summary>
    public async Task<Dictionary<RightKey, Right>> FindAsync(IReadOnlyCollection<RightKey> keys, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var now = time.GetUtcNow();
        var found = new Dictionary<RightKey, Right>();
        if (Ids(RightKind.Token) is { Length: > 0 } tokens)
        {
            await foreach (var token in database.Tokens.AsNoTracking().Include(t => t.User).Where(t => tokens.Contains(t.Id))
                .AsAsyncEnumerable().WithCancellation(cancellation))
            {
                Add(Right.Of(token, now));
            }
        }

        if (Ids(RightKind.Session) is { Length: > 0 } sessions)
        {
            await foreach (var session in database.Sessions.AsNoTracking().Include(s => s.User).Where(s => sessions.Contains(s.Id))
                .AsAsyncEnumerable().WithCancellation(cancellation))
            {
                Add(Right.Of(session, now));
            }
        }

        return found;

        Guid[] Ids(RightKind kind) => [.. keys.Where(key => key.Kind == kind).Select(key => key.Id)];

        void Add(Right? right)
        {
            if (right?.Key is { } key)
            {
                found[key] = right;
            }
        }
    }

    /// <summary>
    /// The caller as their right stands now; nobody when it has ended. For whoever holds on to a caller for longer than a request.
    /// </summary>
    public async Task<ClaimsPrincipal> RenewAsync(ClaimsPrincipal caller, CancellationToken cancellation)
    {
        if (Right.KeyOf(caller) is not { } key)
        {
            return caller;
        }

        return await FindAsync(key, cancellation) is { } right
            ? right.ToPrincipal(caller.Identity!.AuthenticationType!)
            : new ClaimsPrincipal(new ClaimsIdentity());
    }
}
