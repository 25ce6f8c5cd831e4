using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Npgsql;
using WebVm.Api.Persistence;

namespace WebVm.Api.Events;

/// <summary>
/// The one stream of events, in order of id, from any point on. The newest are read from the database once and kept in memory for all
/// readers; who comes for older ones gets them page by page, in turn with others. PostgreSQL's NOTIFY tells of new ones, so several
/// services on one database see each other's events; a missed wake-up costs a delay, never an event.
/// </summary>
public sealed class EventFeed(IDbContextFactory<WebVmDbContext> databases, DatabaseAddress address, DatabaseOutage outage)
    : BackgroundService
{
    private const int BatchSize = 500;

    // Pages that are read for all readers at the same time: the rest of the database is for requests.
    private const int PagesAtOnce = 2;

    // Readers are woken twenty times a second at most: what came meanwhile they get at once. After a pause an event comes without any.
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan PagePause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RecheckInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ReconnectDelay = TimeSpan.FromSeconds(1);

    private readonly EventTail _tail = new();
    private readonly SemaphoreSlim _news = new(0, 1);
    private readonly SemaphoreSlim _pages = new(PagesAtOnce);

    /// <summary>Id of the newest event; 0 when there is none.</summary>
    public async Task<long> LatestAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        return await database.Events.MaxAsync(record => (long?)record.Id, cancellation) ?? 0;
    }

    /// <summary>
    /// Where a client goes on that has seen everything up to an event, and what it misses; no gap when it misses nothing.
    /// </summary>
    /// <param name="seen">Id of that event; 0 for a client that wants what there is, null for an id that cannot be read.</param>
    public async Task<(long Position, EventGap? Gap)> ResumeAsync(long? seen, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        // The sequence first: an event that is added in between is no gap.
        long last =
            await database.Database.SqlQuery<long>(
                $"""SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS "Value" FROM events_id_seq""").SingleAsync(cancellation);
        long first = await database.Events.MinAsync(record => (long?)record.Id, cancellation) ?? last + 1;
        return seen switch
        {
            0 => (first - 1, null),
            // The id of another database, or of this one before it was set back.
            null => (last, new(null, last + 1)),
            _ when seen > last => (last, new(seen, last + 1)),
            _ => first > seen + 1 ? (first - 1, new(seen, first)) : (seen.Value, null),
        };
    }

    /// <summary>
    /// Every event after <paramref name="after"/>, then new ones as they happen, until cancelled. Comes with what there is, and every few
    /// seconds with nothing.
    /// </summary>
    /// <param name="turn">Held while an older page is read and for a moment after: readers who share it take turns.</param>
    public async IAsyncEnumerable<IReadOnlyList<TailedEvent>> ReadAsync(
        long after, Guid? vm = null, SemaphoreSlim? turn = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        while (true)
        {
            var beat = _tail.NextBeat;
            var found = _tail.Last < 0 ? [] : _tail.Read(ref after, vm);
            if (found is null)
            {
                (found, after) = await ReadPageAsync(after, vm, turn, cancellation);
            }
            else if (found.Count == 0)
            {
                await beat.WaitAsync(cancellation);
                found = _tail.Last < 0 ? [] : _tail.Read(ref after, vm) ?? [];
            }

            yield return found;
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(ListenAsync(stoppingToken), FillAsync(stoppingToken));

    /// <summary>Reads older events than the tail has. Nothing when the database is away, after a pause.</summary>
    private async Task<(IReadOnlyList<TailedEvent> Found, long Position)> ReadPageAsync(
        long after, Guid? vm, SemaphoreSlim? turn, CancellationToken cancellation)
    {
        await (turn?.WaitAsync(cancellation) ?? Task.CompletedTask);
        try
        {
            // Everything up to there is in the database, and stays visible.
            long last = _tail.Last;
            List<TailedEvent> page;
            await _pages.WaitAsync(cancellation);
            try
            {
                await using var database = await databases.CreateDbContextAsync(cancellation);
                page = await database.Events.AsNoTracking()
                    .Where(record => record.Id > after && record.Id <= last && (vm == null || record.VmId == vm))
                    .OrderBy(record => record.Id).Take(BatchSize).Select(record => new TailedEvent(record)).ToListAsync(cancellation);
            }
            finally
            {
                _pages.Release();
            }

            await Task.Delay(PagePause, cancellation);
            return (page, page.Count < BatchSize ? last : page[^1].Record.Id);
        }
        catch (Exception failure) when (DatabaseTrouble.Is(failure) && !cancellation.IsCancellationRequested)
        {
            await Task.Delay(ReconnectDelay, cancellation);
            return ([], after);
        }
        finally
        {
            turn?.Release();
        }
    }

    /// <summary>Reads each new event once, for all.</summary>
    private async Task FillAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (_tail.Last < 0)
                {
                    _tail.Begin(await LatestAsync(stopping));
                }

                while (await AddNewAsync(stopping) == BatchSize)
                {
                }

                _tail.Beat();
                await Task.Delay(Pace, stopping);
                await _news.WaitAsync(RecheckInterval, stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure) when (DatabaseTrouble.Is(failure) || failure is TimeoutException)
            {
                _tail.Beat();
                await Task.Delay(ReconnectDelay, CancellationToken.None);
            }
        }
    }

    private async Task<int> AddNewAsync(CancellationToken cancellation)
    {
        long last = _tail.Last;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var added = await database.Events.AsNoTracking().Where(record => record.Id > last).OrderBy(record => record.Id).Take(BatchSize)
            .ToListAsync(cancellation);
        added.ForEach(record => _tail.Add(new TailedEvent(record)));
        return added.Count;
    }

    private async Task ListenAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await using var connection = new NpgsqlConnection(
                    new NpgsqlConnectionStringBuilder(address.ConnectionString) { Pooling = false, KeepAlive = 30 }.ConnectionString);
                await connection.OpenAsync(stopping);
                connection.Notification += (_, _) => Wake();
                await using (var listen = new NpgsqlCommand("LISTEN webvm_events", connection))
                {
                    await listen.ExecuteNonQueryAsync(stopping);
                }

                outage.Over();
                Wake();
                while (true)
                {
                    await connection.WaitAsync(stopping);
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception failure) when (failure is NpgsqlException or IOException or InvalidOperationException)
            {
                outage.Tell(failure);
                await Task.Delay(ReconnectDelay, CancellationToken.None);
            }
        }
    }

    private void Wake()
    {
        // Only the listener's connection wakes, one notification after the other.
        if (_news.CurrentCount == 0)
        {
            _news.Release();
        }
    }
}

/// <summary>Events that a client has not seen and that are not kept any more: what it knows of resources may be old.</summary>
/// <param name="After">The last that it has seen, as far as it said so.</param>
/// <param name="Next">Id from which on nothing is missing.</param>
public sealed record EventGap(long? After, long Next);
