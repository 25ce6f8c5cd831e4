using WebVm.Api.Audit;

namespace WebVm.Web.Formatting;

/// <summary>What somebody asked for, in words.</summary>
public static class AuditTitles
{
    private const string Root = "/api/v1/";

    public static string Title(this AuditView record) => (record.Action, Shape(record.Target)) switch
    {
        ("POST", "vms") => "Create machine",
        ("PATCH", "vms/*") => "Change settings",
        ("DELETE", "vms/*") => "Delete machine",
        ("POST", "vms/*/clone") => "Clone machine",
        ("PUT", "vms/*/power") => "Change power",
        ("POST", "vms/*/snapshots") => "Take snapshot",
        ("POST", "vms/*/snapshots/*/restore") => "Restore snapshot",
        ("DELETE", "vms/*/snapshots/*") => "Delete snapshot",
        ("POST", "vms/*/console") => "Open console",
        ("POST", "vms/*/keys") => "Press keys",
        ("POST", "vms/*/text") => "Type text",
        ("POST", "vms/*/serial") => "Write to serial port",
        ("POST", "images") => "Add image",
        ("PATCH", "images/*/content") => "Upload image",
        ("DELETE", "images/*") => "Delete image",
        ("POST", "users") => "Add user",
        ("PATCH", "users/*") => "Change user",
        ("DELETE", "users/*") => "Remove user",
        ("POST", "tokens") => "Make API token",
        ("DELETE", "tokens/*") => "Revoke API token",
        ("POST", "session") => "Sign in",
        ("GET", "/sign-in/link") => "Sign in by link",
        ("DELETE", "session") => "Sign out",
        ("POST", "operations/*/cancel") => "Cancel operation",
        _ => $"{record.Action} {record.Target}",
    };

    /// <summary>The VM that the request was about.</summary>
    public static Guid? Vm(this AuditView record) =>
        record.Target.Split('/') is ["", "api", "v1", "vms", var id, ..] && Guid.TryParse(id, out var vm) ? vm : null;

    /// <summary>What the request was about: what its path names last.</summary>
    public static Guid? Subject(this AuditView record) => LastId(record.Target);

    /// <summary>The last id in a path.</summary>
    public static Guid? LastId(string path) =>
        path.Split('/').Reverse().Select(part => Guid.TryParse(part, out var id) ? id : (Guid?)null).FirstOrDefault(id => id is not null);

    /// <summary>The path with a star for each id.</summary>
    private static string Shape(string target) =>
        target.StartsWith(Root, StringComparison.Ordinal)
            ? string.Join('/', target[Root.Length..].Split('/').Select(part => Guid.TryParse(part, out _) ? "*" : part))
            : target;
}
