using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>What a token may do. A role is a fixed set of these; a token carries a subset of its user's.</summary>
public static class Scopes
{
    public const string VmsRead = "vms:read";
    public const string VmsWrite = "vms:write";
    public const string VmsPower = "vms:power";

    /// <summary>See screens and serial output.</summary>
    public const string ConsoleView = "console:view";

    /// <summary>Type and point.</summary>
    public const string ConsoleControl = "console:control";
    public const string ImagesRead = "images:read";
    public const string ImagesWrite = "images:write";

    /// <summary>The user's own account: their other tokens, their sessions, their password.</summary>
    public const string Account = "account";

    /// <summary>Users, every token, audit, host settings.</summary>
    public const string Admin = "admin";

    public static IReadOnlyList<string> All { get; } = [VmsRead, VmsWrite, VmsPower, ConsoleView, ConsoleControl, ImagesRead, ImagesWrite,
        Account, Admin];

    public static IReadOnlyList<string> Of(Role role) => role switch
    {
        Role.Viewer => [VmsRead, ConsoleView, ImagesRead, Account],
        Role.Operator => [VmsRead, VmsWrite, VmsPower, ConsoleView, ConsoleControl, ImagesRead, ImagesWrite, Account],
        _ => All,
    };
}
