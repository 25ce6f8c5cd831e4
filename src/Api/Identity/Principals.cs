using System.Security.Claims;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>How a caller is described by claims: name, id, role, and one claim for each scope.</summary>
public static class Principals
{
    public const string ScopeClaim = EndpointConventions.ScopeClaim;

    /// <summary>The name under which WEBVM_ADMIN_TOKEN acts.</summary>
    public const string PresetToken = "preset-token";

    /// <summary>The name under which strangers act.</summary>
    public const string Nobody = "anonymous";

    public static ClaimsIdentity Identity(string scheme, string name, Guid id, Role role, IEnumerable<string> scopes) =>
        new(
            [
                new Claim(ClaimTypes.Name, name),
                new Claim(ClaimTypes.NameIdentifier, id.ToString()),
                new Claim(ClaimTypes.Role, role.ToString()),
                .. scopes.Select(scope => new Claim(ScopeClaim, scope)),
            ],
            scheme);

    public static bool Has(this ClaimsPrincipal caller, string scope) => caller.HasClaim(ScopeClaim, scope);

    public static string Actor(this ClaimsPrincipal caller) => caller.Identity?.Name ?? Nobody;

    public static Guid UserId(this ClaimsPrincipal caller) =>
        Guid.TryParse(caller.FindFirstValue(ClaimTypes.NameIdentifier), out var id) ? id : Guid.Empty;
}
