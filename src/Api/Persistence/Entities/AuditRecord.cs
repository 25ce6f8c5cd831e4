using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

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

internal sealed class AuditTable : IEntityTypeConfiguration<AuditRecord>
{
    public void Configure(EntityTypeBuilder<AuditRecord> table)
    {
        table.ToTable("audit");
        table.Property(record => record.Id).UseIdentityAlwaysColumn();
        table.HasIndex(record => record.At);
    }
}
