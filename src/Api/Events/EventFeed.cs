using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Events;

/// <summary>
/// The one stream of events, in order of id, from any point on. PostgreSQL's NOTIFY wakes the readers, so several services on one
/// database see each other's events; a missed wake-up costs a delay, never an event.
/// </summary>
public sealed partial class EventFeed(IDbContextFactory<WebVmDbContext> databases, DatabaseAddress address, ILogger<EventFeed> log) : BackgroundService
{
    private const int BatchSize = 500;
    private static readonly TimeSpan RecheckInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ReconnectDelay = TimeSpan.FromSeconds(1);

    private volatile TaskCompletionSource _news = NewSignal();

    /// <summary>Id of the newest event; 0 when there is none.</summary>
    public async Task<long> LatestAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        return await database.Events.MaxAsync(record => (long?)record.Id, cancellation) ?? 0;
    }

    /// <summary>What a client misses that has seen everything up to an event; null when nothing.</summary>
    /// <param name="seen">Id of that event; 0 for a client that wants what there is, null for an id that cannot be read.</param>
    public async Task<EventGap?> GapAfterAsync(long? seen, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        // The sequence first: an event that is added in between is no gap.
        long last = await database.Database.SqlQuery<long>($"""SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS "Value" FROM events_id_seq""").SingleAsync(cancellation);
        long first = await database.Events.MinAsync(record => (long?)record.Id, cancellation) ?? last + 1;
        return seen switch
        {
            0 => null,
            // The id of another database, or of this one before it was set back.
            null => new(null, last + 1),
            _ when seen > last => new(seen, last + 1),
            _ => first > seen + 1 ? new(seen, first) : null,
        };
    }

    /// <summary>Every event after <paramref name="after"/>, then new ones as they happen, until cancelled.</summary>
    public async IAsyncEnumerable<EventRecord> ReadAsync(long after, Guid? vmId = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        while (true)
        {
            var news = _news.Task;
            List<EventRecord> batch;
            try
            {
                await using var database = await databases.CreateDbContextAsync(cancellation);
                batch = await database.Events.AsNoTracking()
                    .Where(record => record.Id > after && (vmId == null || record.VmId == vmId))
                    .OrderBy(record => record.Id).Take(BatchSize).ToListAsync(cancellation);
            }
            catch (Exception failure) when (DatabaseTrouble.Is(failure) && !cancellation.IsCancellationRequested)
            {
                await Task.Delay(ReconnectDelay, cancellation);
                continue;
            }

            foreach (var record in batch)
            {
                after = record.Id;
                yield return record;
            }

            if (batch.Count < BatchSize)
            {
                await Task.WhenAny(news, Task.Delay(RecheckInterval, cancellation));
                cancellation.ThrowIfCancellationRequested();
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(address.ConnectionString) { Pooling = false, KeepAlive = 30 }.ConnectionString);
                await connection.OpenAsync(stoppingToken);
                connection.Notification += (_, _) => Wake();
                await using (var listen = new NpgsqlCommand("LISTEN webvm_events", connection))
                {
                    await listen.ExecuteNonQueryAsync(stoppingToken);
                }

                Wake();
                while (true)
                {
                    await connection.WaitAsync(stoppingToken);
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception failure) when (failure is NpgsqlException or IOException or InvalidOperationException)
            {
                LogDisconnected(log, failure.Message);
                await Task.Delay(ReconnectDelay, CancellationToken.None);
            }
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Wake() => Interlocked.Exchange(ref _news, NewSignal()).TrySetResult();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The event feed lost the database and reconnects: {Reason}")]
    private static partial void LogDisconnected(ILogger log, string reason);
}

/// <summary>Events that a client has not seen and that are not kept any more: what it knows of resources may be old.</summary>
/// <param name="After">The last that it has seen, as far as it said so.</param>
/// <param name="Next">Id from which on nothing is missing.</param>
public sealed record EventGap(long? After, long Next);
