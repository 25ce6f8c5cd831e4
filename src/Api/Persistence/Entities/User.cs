using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

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

internal sealed class UserTable : IEntityTypeConfiguration<User>
{
    public void Configure(EntityTypeBuilder<User> table)
    {
        table.ToTable("users");
        table.Property(user => user.Id).ValueGeneratedNever();
        table.Property(user => user.Name).HasMaxLength(63);
        table.HasIndex(user => user.Name).IsUnique();
        table.Property(user => user.Revision).IsConcurrencyToken();
    }
}

public enum Role
{
    Viewer,
    Operator,
    Admin,
}
