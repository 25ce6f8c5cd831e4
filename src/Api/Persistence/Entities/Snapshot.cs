using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

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

internal sealed class SnapshotTable : IEntityTypeConfiguration<Snapshot>
{
    public void Configure(EntityTypeBuilder<Snapshot> table)
    {
        table.ToTable("snapshots");
        table.Property(snapshot => snapshot.Id).ValueGeneratedNever();
        table.Property(snapshot => snapshot.Name).HasMaxLength(63);
        table.Property(snapshot => snapshot.Configuration).IsJson();
        table.Property(snapshot => snapshot.Revision).IsConcurrencyToken();
        table.HasIndex(snapshot => new { snapshot.VmId, snapshot.Name }).IsUnique();
        table.HasOne<Vm>().WithMany().HasForeignKey(snapshot => snapshot.VmId).OnDelete(DeleteBehavior.Cascade);
    }
}
