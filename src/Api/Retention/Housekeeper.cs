using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Conventions;
using WebVm.Api.Idempotency;
using WebVm.Api.Persistence;
using WebVm.Api.Settings;

namespace WebVm.Api.Retention;

/// <summary>
/// Deletes what is older than the settings keep: events, audit, ended operations, expired sessions, names of what is gone, answers to
/// idempotency keys. In batches, so that no request waits for it, and harmless when several services on one database do it at once.
/// </summary>
internal sealed partial class Housekeeper(
    IDbContextFactory<WebVmDbContext> databases, DatabaseAddress address, IOptions<ServiceOptions> options, TimeProvider time,
    ILogger<Housekeeper> log) : BackgroundService
{
    public const int BatchSize = 5000;

    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(10);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (address.Cluster is not null)
        {
            await ReleaseAbandonedKeysAsync(cancellationToken);
        }

        await base.StartAsync(cancellationToken);
    }

    /// <summary>Deletes everything whose time is over.</summary>
    /// <returns>Rows deleted.</returns>
    public async Task<long> SweepAsync(CancellationToken cancellation)
    {
        var now = time.GetUtcNow();
        var settings = options.Value;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var eventsFrom = now - TimeSpan.FromDays(settings.KeepEventsDays);
        long firstKept = await database.Events.MaxAsync(e => (long?)e.Id, cancellation) - settings.KeepEventsCount ?? 0;
        var auditFrom = now - TimeSpan.FromDays(settings.KeepAuditDays);
        var operationsFrom = now - TimeSpan.FromDays(settings.KeepOperationsDays);
        // As long as any record may tell of what had the name.
        var namesFrom = now - TimeSpan.FromDays(
            Math.Max(settings.KeepAuditDays, Math.Max(settings.KeepEventsDays, settings.KeepOperationsDays)));
        var keysFrom = now - TimeSpan.FromHours(settings.KeepIdempotencyHours);
        // Each in the order of an index, so that a sweep that finds nothing reads nothing.
        return await DeleteAsync(database.Events.Where(e => e.Id <= firstKept).OrderBy(e => e.Id), cancellation)
            + await DeleteAsync(database.Events.Where(e => e.At < eventsFrom).OrderBy(e => e.At), cancellation)
            + await DeleteAsync(database.Audit.Where(a => a.At < auditFrom).OrderBy(a => a.At), cancellation)
            + await DeleteAsync(database.Operations.Where(o => o.FinishedAt < operationsFrom).OrderBy(o => o.FinishedAt), cancellation)
            + await DeleteAsync(database.Sessions.Where(s => s.ExpiresAt < now).OrderBy(s => s.ExpiresAt), cancellation)
            + await DeleteAsync(database.LastNames.Where(n => n.At < namesFrom).OrderBy(n => n.At), cancellation)
            + await DeleteAsync(database.Idempotency.Where(r => r.CreatedAt < keysFrom).OrderBy(r => r.CreatedAt), cancellation);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                long rows = await SweepAsync(stoppingToken);
                LogSwept(log, rows);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                LogFailed(log, failure.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    /// <summary>
    /// Who was answering when a service was killed answers no more. A private database has no other service: its keys are free at once; in
    /// a shared one they are when <see cref="IdempotencyFilter.LongestAnswer"/> has passed.
    /// </summary>
    private async Task ReleaseAbandonedKeysAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        await database.Idempotency.Where(r => r.Status == null).ExecuteDeleteAsync(cancellation);
    }

    private static async Task<long> DeleteAsync<T>(IOrderedQueryable<T> old, CancellationToken cancellation)
    {
        long deleted = 0;
        int batch;
        do
        {
            batch = await old.Take(BatchSize).ExecuteDeleteAsync(cancellation);
            deleted += batch;
        }
        while (batch == BatchSize);
        return deleted;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Rows} rows were older than they are kept")]
    private static partial void LogSwept(ILogger log, long rows);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Old rows were not deleted and will be later: {Reason}")]
    private static partial void LogFailed(ILogger log, string reason);
}
