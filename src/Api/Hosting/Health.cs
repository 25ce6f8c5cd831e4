using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;
using WebVm.Api.Persistence;

namespace WebVm.Api.Hosting;

/// <summary><c>/health/live</c>: the process answers. <c>/health/ready</c>: it can do its work.</summary>
public static class Health
{
    public static void MapHealth(this IEndpointRouteBuilder root)
    {
        root.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false }).AllowAnonymous();
        root.MapHealthChecks("/health/ready").AllowAnonymous();
    }
}

/// <summary>Asks without the patience that requests have.</summary>
internal sealed class DatabaseHealth(DatabaseAddress address) : IHealthCheck
{
    private const int PatienceSeconds = 5;

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await using var connection = new NpgsqlConnection(address.ConnectionString);
            await connection.OpenAsync(cancellationToken);
            await using var question = new NpgsqlCommand("SELECT 1", connection) { CommandTimeout = PatienceSeconds };
            await question.ExecuteScalarAsync(cancellationToken);
            return HealthCheckResult.Healthy();
        }
        catch (Exception failure) when (DatabaseTrouble.Is(failure) || failure is TimeoutException)
        {
            return HealthCheckResult.Unhealthy("The database does not answer.");
        }
    }
}
