using System.Globalization;
using System.Security.Claims;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>
/// What lets callers in and can be taken back: a token or a browser's session. The preset token ends with the service alone.
/// </summary>
public readonly record struct RightKey(RightKind Kind, Guid Id)
{
    public override string ToString() => $"{Kind}:{Id}";

    /// <summary>Null for what <see cref="ToString"/> has not written.</summary>
    public static RightKey? Parse(string? text) =>
        text?.Split(':') is [var kind, var id] && Enum.TryParse<RightKind>(kind, out var parsed) && Guid.TryParse(id, out var guid)
            ? new(parsed, guid)
            : null;
}

public enum RightKind
{
    Token,
    Session,
}

/// <summary>A right as it stands now: whose it is, what it allows, and until when.</summary>
/// <param name="Key">Null for the preset token.</param>
/// <param name="EndsAt">Of tokens that expire. A session goes on for as long as it is used.</param>
public sealed record Right(RightKey? Key, Guid User, string Name, Role Role, IReadOnlyList<string> Scopes, DateTimeOffset? EndsAt = null)
{
    private const string KeyClaim = "right";
    private const string EndClaim = "right-ends";

    /// <summary>Null when the token has expired or its user may not sign in.</summary>
    public static Right? Of(Token token, DateTimeOffset now) => token.User is { Disabled: false } user && !(token.ExpiresAt <= now)
        ? new(new(
            RightKind.Token, token.Id), user.Id, user.Name, user.Role, [.. token.Scopes.Intersect(Identity.Scopes.Of(user.Role))],
            token.ExpiresAt)
        : null;

    /// <inheritdoc cref="Of(Token, DateTimeOffset)"/>
    public static Right? Of(Session session, DateTimeOffset now) => session.User is { Disabled: false } user && session.ExpiresAt > now
        ? new(new(RightKind.Session, session.Id), user.Id, user.Name, user.Role, Identity.Scopes.Of(user.Role))
        : null;

    /// <summary>The right by which a caller came in. Null for strangers and the preset token.</summary>
    public static RightKey? KeyOf(ClaimsPrincipal caller) => RightKey.Parse(caller.FindFirstValue(KeyClaim));

    /// <summary>When the caller's right ends by itself. Null when it does not.</summary>
    public static DateTimeOffset? EndOf(ClaimsPrincipal caller) =>
        caller.FindFirstValue(EndClaim) is { } end
            ? DateTimeOffset.Parse(end, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind)
            : null;

    /// <summary>A caller with this right.</summary>
    public ClaimsPrincipal ToPrincipal(string scheme)
    {
        var identity = Principals.Identity(scheme, Name, User, Role, Scopes);
        if (Key is { } key)
        {
            identity.AddClaim(new Claim(KeyClaim, key.ToString()));
        }

        if (EndsAt is { } end)
        {
            identity.AddClaim(new Claim(EndClaim, end.ToString("O", CultureInfo.InvariantCulture)));
        }

        return new ClaimsPrincipal(identity);
    }
}
