using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

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

    /// <summary>
    /// The token that made it, and takes it along when it is revoked; null for one made in a browser or by the preset token.
    /// </summary>
    public Guid? ParentId { get; init; }

    /// <summary>How many tokens stand between it and a person.</summary>
    public int Generation { get; init; }

    public DateTimeOffset? LastUsedAt { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;
}

internal sealed class TokenTable : IEntityTypeConfiguration<Token>
{
    public void Configure(EntityTypeBuilder<Token> table)
    {
        table.ToTable("tokens");
        table.Property(token => token.Id).ValueGeneratedNever();
        table.Property(token => token.Name).HasMaxLength(63);
        table.HasIndex(token => token.SecretHash).IsUnique();
        table.HasOne(token => token.User).WithMany().HasForeignKey(token => token.UserId).OnDelete(DeleteBehavior.Cascade);
        table.HasOne<Token>().WithMany().HasForeignKey(token => token.ParentId).OnDelete(DeleteBehavior.Cascade);
    }
}
