using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using WebVm.Api.Settings;

namespace WebVm.Api.Persistence;

/// <summary>
/// Brings the database up before anything uses it: the private cluster where there is no connection string, then the migrations,
/// under a lock that several services on one database share. Afterwards it restarts a private cluster that died.
/// </summary>
internal sealed class DatabaseStart(IServiceProvider services, DatabaseAddress address, DatabaseOutage outage)
    : BackgroundService, IAsyncDisposable
{
    // Any constant will do; it only has to be the same in every WebVm.
    private const long MigrationLock = 0x5765_6256_6d00_0001;

    private static readonly TimeSpan ClusterCheckInterval = TimeSpan.FromSeconds(2);

    private bool _leavesCluster;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (address.Cluster is { } cluster)
        {
            await cluster.EnsureRunningAsync(cancellationToken);
            _leavesCluster = true;
        }

        await MigrateAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (address.Cluster is { } cluster && !stoppingToken.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(ClusterCheckInterval, stoppingToken);
                if (!cluster.LooksAlive())
                {
                    await cluster.EnsureRunningAsync(stoppingToken);
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception failure) when (failure is ClusterException or IOException || DatabaseTrouble.Is(failure))
            {
                outage.Tell(failure);
            }
        }
    }

    /// <summary>Called last of all hosted services: everyone else has let go of the database.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (address.Cluster is { } cluster)
        {
            await cluster.StopAsync(cancellationToken);
            _leavesCluster = false;
        }
    }

    /// <summary>Nobody stops what was started when a start fails later on: at an address in use, for one.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_leavesCluster && address.Cluster is { } cluster)
        {
            _leavesCluster = false;
            await cluster.StopAsync(CancellationToken.None);
        }

        Dispose();
    }

    private async Task MigrateAsync(CancellationToken cancellation)
    {
        await using var scope = services.CreateAsyncScope();
        var database = scope.ServiceProvider.GetRequiredService<WebVmDbContext>().Database;
        await using var holder = new NpgsqlConnection(address.ConnectionString);
        await holder.OpenAsync(cancellation);
        await using (var take = new NpgsqlCommand($"SELECT pg_advisory_lock({MigrationLock})", holder))
        {
            take.CommandTimeout = 0;
            await take.ExecuteNonQueryAsync(cancellation);
        }

        try
        {
            bool isNew = !await database.GetService<IHistoryRepository>().ExistsAsync(cancellation);
            string[] unknown = isNew ? [] : [.. (await database.GetAppliedMigrationsAsync(cancellation)).Except(database.GetMigrations())];
            if (unknown.Length > 0)
            {
                throw new ClusterException(
                    $"The database was used by a newer WebVm (migration {unknown[^1]} is not known here). Start that version, or restore a backup.");
            }

            await database.MigrateAsync(cancellation);
        }
        finally
        {
            await using var release = new NpgsqlCommand($"SELECT pg_advisory_unlock({MigrationLock})", holder);
            await release.ExecuteNonQueryAsync(CancellationToken.None);
        }
    }
}

/// <summary>How the database is reached; <paramref name="Cluster"/> is null when it is somebody else's.</summary>
public sealed record DatabaseAddress(string ConnectionString, PrivateCluster? Cluster)
{
    /// <summary>Somebody else's database.</summary>
    /// <param name="password">What the connection string lacks; null when it lacks nothing.</param>
    /// <exception cref="StartException">Not a connection string; it may hold a password, and is not repeated.</exception>
    public static DatabaseAddress Of(string connectionString, string? password)
    {
        try
        {
            var address = new NpgsqlConnectionStringBuilder(connectionString);
            if (password is { Length: > 0 })
            {
                address.Password = password;
            }

            return new DatabaseAddress(address.ConnectionString, null);
        }
        catch (ArgumentException failure)
        {
            throw new StartException($"WEBVM_DATABASE is not a connection string of Npgsql: {failure.Message}", failure);
        }
    }
}
