using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.DataProtection;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>Short-lived tickets that open the console of one VM: what a program hands to a browser instead of its own token.</summary>
public sealed class ConsoleTickets(IDataProtectionProvider protection)
{
    public const string Prefix = "wvc_";

    /// <summary>Claim that binds a caller to one VM.</summary>
    public const string VmClaim = "vm";

    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(2);

    private readonly ITimeLimitedDataProtector _protector = protection.CreateProtector("WebVm.Console").ToTimeLimitedDataProtector();

    public string Create(Ticket ticket) => Prefix + _protector.Protect(JsonSerializer.Serialize(ticket, ApiJson.Options), Lifetime);

    /// <summary>Null when the ticket is forged or over.</summary>
    public Ticket? Read(string text)
    {
        try
        {
            return JsonSerializer.Deserialize<Ticket>(_protector.Unprotect(text[Prefix.Length..]), ApiJson.Options);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <param name="Scopes">Of console:view and console:control, those that the issuer had.</param>
    /// <param name="By">The right that made it: what is opened with the ticket ends with that. Null for the preset token.</param>
    public sealed record Ticket(Guid Vm, Guid User, string Name, Role Role, IReadOnlyList<string> Scopes, string? By = null);
}
