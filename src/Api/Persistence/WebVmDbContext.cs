using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Persistence;

/// <summary>The service's database. Tables and columns are in snake case; enumerations are stored by name.</summary>
public sealed class WebVmDbContext(DbContextOptions<WebVmDbContext> options) : DbContext(options)
{
    public DbSet<Vm> Vms => Set<Vm>();

    public DbSet<Snapshot> Snapshots => Set<Snapshot>();

    public DbSet<Image> Images => Set<Image>();

    public DbSet<Operation> Operations => Set<Operation>();

    public DbSet<EventRecord> Events => Set<EventRecord>();

    public DbSet<User> Users => Set<User>();

    public DbSet<Token> Tokens => Set<Token>();

    public DbSet<Session> Sessions => Set<Session>();

    public DbSet<AuditRecord> Audit => Set<AuditRecord>();

    public DbSet<LastName> LastNames => Set<LastName>();

    public DbSet<IdempotencyRecord> Idempotency => Set<IdempotencyRecord>();

    public override Task<int> SaveChangesAsync(bool acceptAllChangesOnSuccess, CancellationToken cancellationToken = default)
    {
        RoundTimes();
        return base.SaveChangesAsync(acceptAllChangesOnSuccess, cancellationToken);
    }

    public override int SaveChanges(bool acceptAllChangesOnSuccess)
    {
        RoundTimes();
        return base.SaveChanges(acceptAllChangesOnSuccess);
    }

    protected override void ConfigureConventions(ModelConfigurationBuilder conventions)
    {
        conventions.Properties<Enum>().HaveConversion<string>();
    }

    /// <summary>PostgreSQL keeps microseconds: what is answered at once is what will be read.</summary>
    private void RoundTimes()
    {
        foreach (var entry in ChangeTracker.Entries().Where(entry => entry.State is EntityState.Added or EntityState.Modified))
        {
            foreach (var property in entry.Properties)
            {
                if (property.CurrentValue is DateTimeOffset time && time.Ticks % TimeSpan.TicksPerMicrosecond is var rest and not 0)
                {
                    property.CurrentValue = time.AddTicks(-rest);
                }
            }
        }
    }

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.ApplyConfigurationsFromAssembly(typeof(WebVmDbContext).Assembly);
        foreach (var entity in model.Model.GetEntityTypes())
        {
            foreach (var property in entity.GetProperties())
            {
                property.SetColumnName(SnakeCase.From(property.Name));
            }

            foreach (var key in entity.GetKeys())
            {
                key.SetName($"pk_{entity.GetTableName()}");
            }

            foreach (var index in entity.GetIndexes())
            {
                index.SetDatabaseName(
                    $"ix_{entity.GetTableName()}_{string.Join('_', index.Properties.Select(p => SnakeCase.From(p.Name)))}");
            }

            foreach (var foreign in entity.GetForeignKeys())
            {
                foreign.SetConstraintName(
                    $"fk_{entity.GetTableName()}_{string.Join('_', foreign.Properties.Select(p => SnakeCase.From(p.Name)))}");
            }
        }
    }
}
