using System.ComponentModel.DataAnnotations;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;

namespace WebVm.Api.Settings;

/// <summary>What happens when a machine is started whose memory the host may not have.</summary>
public enum MemoryOvercommit
{
    /// <summary>It starts, and its owner and the log are told.</summary>
    Warn,

    /// <summary>It starts.</summary>
    Allow,

    /// <summary>It does not start.</summary>
    Refuse,
}

/// <summary>
/// The service's settings: appsettings, then environment variables (<c>WEBVM_DATA</c>, <c>WEBVM_LISTEN</c>, <c>WEBVM_DATABASE</c>,
/// <c>WEBVM_ADMIN_TOKEN</c>, …), then the command line.
/// </summary>
public sealed class ServiceOptions
{
    public const string Section = "WebVm";

    /// <summary>Addresses to listen on, separated by semicolons.</summary>
    public string Listen { get; set; } = "http://127.0.0.1:8080";

    /// <summary>PEM file of the certificate, with its chain, that https addresses are served with.</summary>
    public string? Certificate { get; set; }

    /// <summary>PEM file of the certificate's key, unless it is in the certificate's file.</summary>
    public string? CertificateKey { get; set; }

    /// <summary>Addresses and networks of reverse proxies whose X-Forwarded headers are believed, separated by semicolons.</summary>
    public string? Proxies { get; set; }

    /// <summary>Origins of pages that may use the API with a token (CORS), separated by semicolons; none by default.</summary>
    public string? CorsOrigins { get; set; }

    /// <summary>Everything the service keeps: database cluster, images, VM run directories, keys.</summary>
    [Required]
    public string Data { get; set; } = DefaultData();

    /// <summary>PostgreSQL connection string. Empty: a private cluster in the data directory.</summary>
    public string? Database { get; set; }

    /// <summary>File that holds the connection string.</summary>
    public string? DatabaseFile { get; set; }

    /// <summary>The password that the connection string lacks.</summary>
    public string? DatabasePassword { get; set; }

    /// <summary>File that holds the password that the connection string lacks.</summary>
    public string? DatabasePasswordFile { get; set; }

    /// <summary>
    /// Folder of initdb, pg_ctl and postgres for the private cluster; found where Debian has them, or by PATH, unless set.
    /// </summary>
    public string? PostgresPrograms { get; set; }

    /// <summary>A token that is accepted with every right, for automation's first contact. At least 32 characters.</summary>
    [MinLength(32)]
    public string? AdminToken { get; set; }

    /// <summary>File that holds the token.</summary>
    public string? AdminTokenFile { get; set; }

    /// <summary>The monitor's program; found beside the service unless set.</summary>
    public string? Monitor { get; set; }

    /// <summary>The least that monitors are kept by: below it no machine starts. Unset, they are kept by the best there is.</summary>
    public IsolationDemand Isolation { get; set; }

    /// <summary>Uids, and gids of the same numbers, that a service that is root gives to its monitors, each one of its own.</summary>
    public string MonitorUsers { get; set; } = UserRange.Default;

    /// <summary>
    /// Folder of a control group (version 2) that is the service's own, in which each monitor gets one; "none" for none. Unset, it is the
    /// service's present one where systemd delegated it.
    /// </summary>
    public string? ControlGroup { get; set; }

    /// <summary>"1" leaves monitors open to debuggers, and has their filters log instead of kill.</summary>
    public string? MonitorDebug { get; set; }

    public bool DebugsMonitors => MonitorDebug is "1" or "true";

    /// <summary>
    /// Whether VMs are left running when the service stops. Otherwise they are shut down, and started again with the service.
    /// </summary>
    public bool KeepRunning { get; set; } = true;

    /// <summary>Seconds that guests have for shutting down when the service stops and they are not left running.</summary>
    [Range(1, 3600)]
    public int StopDeadlineSeconds { get; set; } = 60;

    /// <summary>
    /// What happens when a machine is started whose memory the host may not have: <c>warn</c>, <c>allow</c> (say nothing) or <c>refuse</c>.
    /// </summary>
    public MemoryOvercommit MemoryOvercommit { get; set; } = MemoryOvercommit.Warn;

    /// <summary>Largest upload or import of one image, in bytes.</summary>
    [Range(1, long.MaxValue)]
    public long MaxImageBytes { get; set; } = 64L << 30;

    /// <summary>
    /// Whether images are imported from addresses outside the public internet too: this host's own, private and link-local ones.
    /// </summary>
    public bool ImportFromPrivateNetworks { get; set; }

    /// <summary>Days that events are kept for clients to resume from.</summary>
    [Range(1, 36500)]
    public int KeepEventsDays { get; set; } = 30;

    /// <summary>Events that are kept at most, however young.</summary>
    [Range(1000, long.MaxValue)]
    public long KeepEventsCount { get; set; } = 1_000_000;

    /// <summary>Days that the audit trail is kept.</summary>
    [Range(1, 36500)]
    public int KeepAuditDays { get; set; } = 365;

    /// <summary>Days that an operation is kept after its end.</summary>
    [Range(1, 36500)]
    public int KeepOperationsDays { get; set; } = 30;

    /// <summary>Hours within which a repeated POST with the same Idempotency-Key gets the first answer again.</summary>
    [Range(1, 8760)]
    public int KeepIdempotencyHours { get; set; } = 24;

    /// <summary>Folder of the built-in images, as <c>webvm image build</c> makes them.</summary>
    public string? Catalogue { get; set; }

    public string ImagesFolder => Path.Combine(Data, "images");

    public string VmsFolder => Path.Combine(Data, "vms");

    public string KeysFolder => Path.Combine(Data, "keys");

    /// <summary>Sign-in links that were asked for on the host.</summary>
    public string LinksFolder => Path.Combine(Data, "sign-in-links");

    // Root's home is closed to the account that the private database runs under.
    private static string DefaultData()
    {
        if (Environment.IsPrivilegedProcess)
        {
            return "/var/lib/webvm";
        }

        string? state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Path.Combine(string.IsNullOrEmpty(state) ? Path.Combine(home, ".local", "state") : state, "webvm");
    }
}
