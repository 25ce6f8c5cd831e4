using Microsoft.EntityFrameworkCore;
using Npgsql;
using WebVm.Api.Persistence;

namespace WebVm.Api.Tests;

/// <summary>Databases in a service's private cluster, reached past the service.</summary>
internal sealed class Databases(string connectionString) : IDbContextFactory<WebVmDbContext>
{
    public string ConnectionString { get; } = connectionString;

    /// <summary>SQL commands that contexts of this factory have sent.</summary>
    public CommandCounter Commands { get; } = new();

    /// <summary>The service's own database.</summary>
    public static Databases Of(ServiceProcess service, string name = "webvm") => new(new NpgsqlConnectionStringBuilder
    {
        Host = Path.Combine(service.Data, "postgres", "run"),
        Database = name,
        Username = "webvm",
        Pooling = false,
    }.ConnectionString);

    /// <summary>An empty database with the model's schema.</summary>
    public static async Task<Databases> CreateAsync(ServiceProcess service, string name)
    {
        var made = Of(service, name);
        await using var context = made.CreateDbContext();
        await context.Database.EnsureCreatedAsync(Rest.Cancellation);
        return made;
    }

    public WebVmDbContext CreateDbContext() =>
        new(new DbContextOptionsBuilder<WebVmDbContext>().UseNpgsql(ConnectionString).AddInterceptors(Commands).Options);
}
