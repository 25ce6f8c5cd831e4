using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

/// <summary>A browser that is signed in. Its cookie names the row, and is worth nothing without it.</summary>
public sealed class Session
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required Guid UserId { get; init; }

    public User? User { get; init; }

    /// <summary>
    /// Signed in by a link that the service's owner had printed: whoever did has no need of the old password to set a new one.
    /// </summary>
    public bool ByLink { get; init; }

    /// <summary>Where it was used last.</summary>
    public string? Address { get; set; }

    /// <summary>The browser's name for itself, cut to size.</summary>
    public string? Agent { get; init; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset LastUsedAt { get; set; } = DateTimeOffset.UtcNow;

    public required DateTimeOffset ExpiresAt { get; set; }
}

internal sealed class SessionTable : IEntityTypeConfiguration<Session>
{
    public void Configure(EntityTypeBuilder<Session> table)
    {
        table.ToTable("sessions");
        table.Property(session => session.Id).ValueGeneratedNever();
        table.HasIndex(session => session.ExpiresAt);
        table.HasOne(session => session.User).WithMany().HasForeignKey(session => session.UserId).OnDelete(DeleteBehavior.Cascade);
    }
}
