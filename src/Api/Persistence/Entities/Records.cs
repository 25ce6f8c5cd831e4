namespace WebVm.Api.Persistence.Entities;

/// <summary>A saved state of a VM that can be returned to.</summary>
public sealed class Snapshot
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required Guid VmId { get; init; }

    public required string Name { get; set; }

    public string Description { get; set; } = "";

    /// <summary>The configuration at the time.</summary>
    public required VmConfiguration Configuration { get; init; }

    public bool Complete { get; set; }

    public long Bytes { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    /// <summary>Advanced by every change of what clients may set.</summary>
    public long Revision { get; set; } = 1;
}

public enum ImageKind
{
    /// <summary>A kernel with its initrd and default command line.</summary>
    Bundle,
    Kernel,
    Initrd,
    Disk,
    Iso,
}

public enum ImageState
{
    /// <summary>Waiting for bytes.</summary>
    Receiving,
    Verifying,
    Ready,
    Failed,
}

/// <summary>Something that VMs boot from.</summary>
public sealed class Image
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required string Name { get; set; }

    public required ImageKind Kind { get; init; }

    public ImageState State { get; set; } = ImageState.Receiving;

    public string Description { get; set; } = "";

    /// <summary>Total bytes, as announced or as found.</summary>
    public long Bytes { get; set; }

    public long ReceivedBytes { get; set; }

    /// <summary>Lower-case hexadecimal.</summary>
    public string? Sha256 { get; set; }

    /// <summary>Part of the service, not deletable.</summary>
    public bool BuiltIn { get; init; }

    public string? SourceUrl { get; init; }

    public string? Error { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public long Revision { get; set; } = 1;
}

public enum OperationState
{
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// <summary>Work that takes longer than a moment; survives a restart of the service.</summary>
public sealed class Operation
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    /// <summary>What is done, such as "vm.snapshot.create".</summary>
    public required string Kind { get; init; }

    /// <summary>Path of the resource that is worked on.</summary>
    public required string Target { get; init; }

    public Guid? VmId { get; init; }

    public string? Actor { get; init; }

    public OperationState State { get; set; } = OperationState.Pending;

    /// <summary>0 to 100.</summary>
    public int Progress { get; set; }

    public string? Message { get; set; }

    public bool CancelRequested { get; set; }

    /// <summary>JSON that the work needs to go on after a restart.</summary>
    public string Input { get; init; } = "{}";

    /// <summary>JSON of the outcome.</summary>
    public string? Result { get; set; }

    public string? Error { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset? StartedAt { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }
}

/// <summary>Something that happened, with the position by which clients resume the stream.</summary>
public sealed class EventRecord
{
    public long Id { get; init; }

    /// <summary>Such as "vm.running".</summary>
    public required string Type { get; init; }

    /// <summary>Path of the resource.</summary>
    public required string Subject { get; init; }

    public Guid? VmId { get; init; }

    public string? Message { get; init; }

    /// <summary>JSON.</summary>
    public string Data { get; init; } = "{}";

    public DateTimeOffset At { get; init; } = DateTimeOffset.UtcNow;
}

public enum Role
{
    Viewer,
    Operator,
    Admin,
}

public sealed class User
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required string Name { get; set; }

    public Role Role { get; set; }

    /// <summary>PBKDF2 in the form algorithm$iterations$salt$hash; null until a password is set.</summary>
    public string? PasswordHash { get; set; }

    public bool Disabled { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public long Revision { get; set; } = 1;
}

/// <summary>An API token. Only the hash of its secret is kept.</summary>
public sealed class Token
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required string Name { get; init; }

    public required Guid UserId { get; init; }

    public User? User { get; init; }

    /// <summary>SHA-256 of the secret (256 random bits, so a fast hash is enough).</summary>
    public required byte[] SecretHash { get; init; }

    public required string[] Scopes { get; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The token that made it, and takes it along when it is revoked; null for one made in a browser or by the preset token.</summary>
    public Guid? ParentId { get; init; }

    /// <summary>How many tokens stand between it and a person.</summary>
    public int Generation { get; init; }

    public DateTimeOffset? LastUsedAt { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;
}

/// <summary>A browser that is signed in. Its cookie names the row, and is worth nothing without it.</summary>
public sealed class Session
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required Guid UserId { get; init; }

    public User? User { get; init; }

    /// <summary>Signed in by a link that the service's owner had printed: whoever did has no need of the old password to set a new one.</summary>
    public bool ByLink { get; init; }

    /// <summary>Where it was used last.</summary>
    public string? Address { get; set; }

    /// <summary>The browser's name for itself, cut to size.</summary>
    public string? Agent { get; init; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset LastUsedAt { get; set; } = DateTimeOffset.UtcNow;

    public required DateTimeOffset ExpiresAt { get; set; }
}

/// <summary>Who did what.</summary>
public sealed class AuditRecord
{
    public long Id { get; init; }

    public DateTimeOffset At { get; init; } = DateTimeOffset.UtcNow;

    public required string Actor { get; init; }

    public required string Action { get; init; }

    public required string Target { get; init; }

    public int Status { get; init; }

    public string? Address { get; init; }

    public string? TraceId { get; init; }
}

/// <summary>What something that is deleted was called. Written by the database itself (migration 7).</summary>
public sealed class LastName
{
    public Guid Id { get; init; }

    public required string Name { get; init; }

    public DateTimeOffset At { get; init; }
}

/// <summary>The answer given to a POST with an Idempotency-Key, to be given again.</summary>
public sealed class IdempotencyRecord
{
    public required string Key { get; init; }

    public required string Actor { get; init; }

    /// <summary>SHA-256 of method, path and body, sealed by a key that is not in the database.</summary>
    public required byte[] RequestHash { get; init; }

    /// <summary>Null while the first request is still being answered.</summary>
    public int? Status { get; set; }

    public string? Location { get; set; }

    /// <summary>The answer's ETag.</summary>
    public string? Tag { get; set; }

    public string? ContentType { get; set; }

    public byte[]? Body { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;
}
