using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Persistence.Configurations;

internal sealed class ImageTable : IEntityTypeConfiguration<Image>
{
    public void Configure(EntityTypeBuilder<Image> table)
    {
        table.ToTable("images");
        table.Property(image => image.Id).ValueGeneratedNever();
        table.Property(image => image.Name).HasMaxLength(63).UseCollation("C");
        table.HasIndex(image => image.Name).IsUnique();
        table.Property(image => image.Revision).IsConcurrencyToken();
    }
}

internal sealed class OperationTable : IEntityTypeConfiguration<Operation>
{
    public void Configure(EntityTypeBuilder<Operation> table)
    {
        table.ToTable("operations");
        table.Property(operation => operation.Id).ValueGeneratedNever();
        table.Property(operation => operation.Input).HasColumnType("jsonb");
        table.Property(operation => operation.Result).HasColumnType("jsonb");
        table.HasIndex(operation => operation.State);
        table.HasIndex(operation => new { operation.VmId, operation.Id });
        table.HasIndex(operation => operation.FinishedAt);
    }
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

internal sealed class AuditTable : IEntityTypeConfiguration<AuditRecord>
{
    public void Configure(EntityTypeBuilder<AuditRecord> table)
    {
        table.ToTable("audit");
        table.Property(record => record.Id).UseIdentityAlwaysColumn();
        table.HasIndex(record => record.At);
    }
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
