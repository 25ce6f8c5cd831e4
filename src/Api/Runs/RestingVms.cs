using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Runs;

/// <summary>
/// Wakes the agents of machines that should run and do not. Requests to this service wake them at once; this is for what another
/// service on the database has written, and one query for all machines at rest.
/// </summary>
internal sealed partial class RestingVms(IDbContextFactory<WebVmDbContext> databases, VmSupervisor supervisor, ILogger<RestingVms> log)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await using var database = await databases.CreateDbContextAsync(stoppingToken);
                var wanted =
                    database.Vms.Where(vm => vm.RunId == null && (vm.Desired == DesiredPower.On || vm.Desired == DesiredPower.Paused))
                        .Select(vm => vm.Id);
                foreach (var id in await wanted.ToListAsync(stoppingToken))
                {
                    supervisor.Wake(id);
                }
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                LogFailed(log, failure.Message);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Machines at rest could not be looked at: {Reason}")]
    private static partial void LogFailed(ILogger log, string reason);
}
