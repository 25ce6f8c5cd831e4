using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

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

internal sealed class EventTable : IEntityTypeConfiguration<EventRecord>
{
    public void Configure(EntityTypeBuilder<EventRecord> table)
    {
        table.ToTable("events");
        table.Property(record => record.Id).UseIdentityAlwaysColumn();
        table.Property(record => record.Data).HasColumnType("jsonb");
        table.HasIndex(record => new { record.VmId, record.Id });
        table.HasIndex(record => record.At);
    }
}
