using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

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

internal sealed class IdempotencyTable : IEntityTypeConfiguration<IdempotencyRecord>
{
    public void Configure(EntityTypeBuilder<IdempotencyRecord> table)
    {
        table.ToTable("idempotency");
        table.HasKey(record => new { record.Actor, record.Key });
        table.Property(record => record.Key).HasMaxLength(255);
        table.HasIndex(record => record.CreatedAt);
    }
}
