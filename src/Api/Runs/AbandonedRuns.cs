using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WebVm.Api.Persistence;

namespace WebVm.Api.Runs;

/// <summary>
/// Ends, when the service starts, the runs that no VM has: a service was killed between taking a run off its VM and deleting its folder, or
/// the VM is gone. A monitor that is still there is killed.
/// </summary>
internal sealed partial class AbandonedRuns(
    IDbContextFactory<WebVmDbContext> databases, VmFiles files, ControlGroups groups, ILogger<AbandonedRuns> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            // First the folders: a run is in the database before its folder is made.
            string[] found = files.Runs();
            await using var database = await databases.CreateDbContextAsync(stoppingToken);
            var known = await database.Vms.Where(vm => vm.RunId != null).Select(vm => vm.RunId!).ToHashSetAsync(stoppingToken);
            await Task.WhenAll(found.Where(run => !known.Contains(run)).Select(run => EndAsync(run, stoppingToken)));
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            LogNotFound(log, failure.Message);
        }
    }

    private async Task EndAsync(string runId, CancellationToken cancellation)
    {
        try
        {
            var run = files.Run(runId);
            bool alive = run.IsAlive();
            await MonitorEnd.StopAsync(run, null, cancellation);
            await groups.EndAsync(run);
            run.Delete();
            LogEnded(log, runId, alive);
        }
        catch (Exception failure) when (failure is IOException or TimeoutException or UnauthorizedAccessException)
        {
            LogNotEnded(log, runId, failure.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Run {Run} belonged to no VM and was deleted (its monitor was running: {Alive})")]
    private static partial void LogEnded(ILogger log, string run, bool alive);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Run {Run} belongs to no VM and is still there: {Reason}")]
    private static partial void LogNotEnded(ILogger log, string run, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Runs that belong to no VM could not be looked for: {Reason}")]
    private static partial void LogNotFound(ILogger log, string reason);
}
