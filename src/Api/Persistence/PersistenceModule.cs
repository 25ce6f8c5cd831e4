using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using WebVm.Api.Settings;

namespace WebVm.Api.Persistence;

/// <summary>The database: the private cluster or the one that is named, and the context.</summary>
internal static class PersistenceModule
{
    // A restart of the database takes seconds; whoever asks meanwhile waits about as long, and is then told to come again.
    private const int MostRetries = 5;
    private static readonly TimeSpan LongestRetryDelay = TimeSpan.FromSeconds(2);

    public static void AddPersistence(this IServiceCollection services, ServiceOptions options)
    {
        services.AddSingleton(provider =>
        {
            if (options.Database is { Length: > 0 } connectionString)
            {
                return DatabaseAddress.Of(connectionString, options.DatabasePassword);
            }

            var cluster = new PrivateCluster(
                Path.Combine(options.Data, "postgres"), options.PostgresPrograms, provider.GetRequiredService<ILogger<PrivateCluster>>());
            return new DatabaseAddress(cluster.ConnectionString, cluster);
        });
        services.AddSingleton<DatabaseOutage>();
        services.AddSingleton<DatabaseLog>();
        services.AddDbContextFactory<WebVmDbContext>((provider, database) => database
            .UseNpgsql(
                provider.GetRequiredService<DatabaseAddress>().ConnectionString,
                npgsql => npgsql.EnableRetryOnFailure(
                    MostRetries, LongestRetryDelay, [PostgresErrorCodes.AdminShutdown, PostgresErrorCodes.CannotConnectNow]))
            .AddInterceptors(provider.GetRequiredService<DatabaseLog>())
            .ConfigureWarnings(
                warnings => warnings.Log(
                    (RelationalEventId.CommandError, LogLevel.Debug), (RelationalEventId.ConnectionError, LogLevel.Debug),
                    (CoreEventId.ExecutionStrategyRetrying, LogLevel.Debug), (CoreEventId.SaveChangesFailed, LogLevel.Debug),
                    (CoreEventId.QueryIterationFailed, LogLevel.Debug))));
        services.AddHostedService<DatabaseStart>();
        services.AddHostedService<MachinesLock>();
    }
}
