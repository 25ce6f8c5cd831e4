using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using WebVm.Api.Settings;

namespace WebVm.Api.Persistence;

/// <summary>
/// Holds, as long as the service lives, a lock on the database of its machines: a second service with another data folder would not find
/// the runs of the first, and start every machine once more.
/// </summary>
internal sealed partial class MachinesLock(DatabaseAddress address, IHostApplicationLifetime lifetime, ILogger<MachinesLock> log)
    : BackgroundService
{
    // Any constant will do; it only has to be the same in every WebVm.
    private const long Lock = 0x5765_6256_6d00_0002;

    // A service that was killed a moment ago may still have it: the server notices by the closed connection.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    private NpgsqlConnection? _holder;

    /// <exception cref="StartException">Another service has the database.</exception>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!await TryTakeAsync(cancellationToken))
        {
            throw new StartException("Another WebVm drives the machines of this database. WEBVM_DATABASE names another.");
        }

        await base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await LetGoAsync();
    }

    /// <summary>A database that was restarted has forgotten who had the lock: it is taken again.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(Interval, stoppingToken).ContinueWith(_ => { }, TaskScheduler.Default);
            try
            {
                if (!await HasItAsync(stoppingToken) && !await TryTakeAsync(stoppingToken))
                {
                    LogTaken(log);
                    lifetime.StopApplication();
                    return;
                }
            }
            catch (Exception away) when (DatabaseTrouble.Is(away) || away is OperationCanceledException)
            {
                // Asked again.
            }
        }
    }

    private async Task<bool> HasItAsync(CancellationToken cancellation)
    {
        try
        {
            await using var ask = new NpgsqlCommand("SELECT 1", _holder);
            await ask.ExecuteScalarAsync(cancellation);
            return true;
        }
        catch (Exception lost) when (lost is NpgsqlException or InvalidOperationException)
        {
            return false;
        }
    }

    private async Task<bool> TryTakeAsync(CancellationToken cancellation)
    {
        await LetGoAsync();
        _holder = new NpgsqlConnection(
            new NpgsqlConnectionStringBuilder(
                address.ConnectionString) { Pooling = false, ApplicationName = "webvm machines" }.ConnectionString);
        await _holder.OpenAsync(cancellation);
        for (var waited = TimeSpan.Zero; ; waited += Poll)
        {
            await using var take = new NpgsqlCommand($"SELECT pg_try_advisory_lock({Lock})", _holder);
            if (await take.ExecuteScalarAsync(cancellation) is true)
            {
                return true;
            }

            if (waited >= Patience)
            {
                return false;
            }

            await Task.Delay(Poll, cancellation);
        }
    }

    private async Task LetGoAsync()
    {
        if (_holder is not null)
        {
            await _holder.DisposeAsync();
            _holder = null;
        }
    }

    [LoggerMessage(Level = LogLevel.Critical,
        Message = "Another service has taken the machines of this database; this one ends, and leaves them running")]
    private static partial void LogTaken(ILogger log);
}
