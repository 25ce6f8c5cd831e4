using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

/// <summary>What something that is deleted was called. Written by the database itself (migration 7).</summary>
public sealed class LastName
{
    public Guid Id { get; init; }

    public required string Name { get; init; }

    public DateTimeOffset At { get; init; }
}

internal sealed class LastNameTable : IEntityTypeConfiguration<LastName>
{
    public void Configure(EntityTypeBuilder<LastName> table)
    {
        table.ToTable("last_names");
        table.HasKey(name => name.Id);
        table.Property(name => name.Id).ValueGeneratedNever();
        table.HasIndex(name => name.At);
    }
}
