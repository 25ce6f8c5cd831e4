using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Operations;

/// <summary>
/// Runs operations in the background. Every step is in the database before it is believed: operations that a killed service left
/// pending or running are taken up at the next start. Operations on one VM run one after the other, as they were asked for.
/// </summary>
public sealed partial class OperationRunner(
    IDbContextFactory<WebVmDbContext> databases,
    IEnumerable<IOperationHandler> handlers,
    HostPaths paths,
    IHostApplicationLifetime lifetime,
    ILogger<OperationRunner> log) : BackgroundService
{
    /// <summary>Operations that may be under way or wait: for one VM, and in all.</summary>
    public const int MostForOneVm = 32;
    public const int MostInAll = 10_000;

    private const string RetryAfterSeconds = "5";
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan WaitRecheck = TimeSpan.FromSeconds(1);

    private readonly Dictionary<string, IOperationHandler> _handlers = handlers.ToDictionary(
        handler => handler.Kind, StringComparer.Ordinal);
    private readonly Channel<Waiting> _queue = Channel.CreateUnbounded<Waiting>();
    private readonly ConcurrentDictionary<Guid, CancellationTokenSource> _running = new();
    private readonly ConcurrentDictionary<Guid, TaskCompletionSource> _waiters = new();
    private readonly Turns _turns = new();

    /// <summary>Adds the operation to the caller's transaction. Call <see cref="Enqueue"/> once that has committed.</summary>
    public static Operation Create(WebVmDbContext database, string kind, string target, Guid? vmId, string? actor, object? input = null)
    {
        var operation = new Operation
        {
            Kind = kind,
            Target = target,
            VmId = vmId,
            Actor = actor,
            Input = input is null ? "{}" : JsonSerializer.Serialize(input, ApiJson.Options),
        };
        database.Operations.Add(operation);
        return operation;
    }

    /// <summary>
    /// Null when there is room for another operation; otherwise the answer: 429 when it is the VM that has too many, 503 when it is the
    /// service.
    /// </summary>
    public static async Task<ProblemHttpResult?> RefusalAsync(
        WebVmDbContext database, HttpContext context, Guid? vmId, CancellationToken cancellation)
    {
        var unfinished = database.Operations.Where(o => o.FinishedAt == null);
        var refusal = vmId is { } id && await unfinished.CountAsync(o => o.VmId == id, cancellation) >= MostForOneVm
            ? Problems.TooMany($"{MostForOneVm} operations on the VM have not ended; wait for them, or cancel some.")
            : await unfinished.CountAsync(cancellation) >= MostInAll
                ? Problems.Unavailable($"{MostInAll} operations have not ended; come again later.")
                : null;
        if (refusal is not null)
        {
            // Work takes longer than a moment.
            context.Response.Headers.RetryAfter = RetryAfterSeconds;
        }

        return refusal;
    }

    public void Enqueue(Operation operation) => _queue.Writer.TryWrite(new(operation.Id, operation.VmId, operation.Target));

    /// <summary>Waits until the operation has ended, the time is over or the service stops, and returns how it stands.</summary>
    public async Task<Operation?> WaitAsync(Guid id, TimeSpan time, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            var finished = _waiters.GetOrAdd(id, _ => new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            await using var database = await databases.CreateDbContextAsync(cancellation);
            var operation = await database.Operations.AsNoTracking().SingleOrDefaultAsync(o => o.Id == id, cancellation);
            var left = time - Stopwatch.GetElapsedTime(start);
            if (operation is null || operation.FinishedAt is not null || left <= TimeSpan.Zero
                || lifetime.ApplicationStopping.IsCancellationRequested)
            {
                if (operation?.FinishedAt is not null || operation is null)
                {
                    _waiters.TryRemove(id, out _);
                }

                return operation;
            }

            // Rechecked now and then: another service on the same database may be the one that runs it.
            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation, lifetime.ApplicationStopping);
            await Task.WhenAny(finished, Task.Delay(left < WaitRecheck ? left : WaitRecheck, over.Token));
        }
    }

    /// <summary>Asks the operation to stop. False when it has already ended.</summary>
    public async Task<bool> CancelAsync(Guid id, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        int marked = await database.Operations.Where(o => o.Id == id && o.FinishedAt == null)
            .ExecuteUpdateAsync(set => set.SetProperty(o => o.CancelRequested, true), cancellation);
        if (_running.TryGetValue(id, out var source))
        {
            await source.CancelAsync();
        }

        return marked > 0;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using (var database = await databases.CreateDbContextAsync(stoppingToken))
        {
            foreach (var left in await database.Operations.Where(o => o.FinishedAt == null).OrderBy(o => o.Id)
                .Select(o => new Waiting(o.Id, o.VmId, o.Target)).ToListAsync(stoppingToken))
            {
                _queue.Writer.TryWrite(left);
            }
        }

        var active = new ConcurrentDictionary<Guid, Task>();
        try
        {
            await foreach (var waiting in _queue.Reader.ReadAllAsync(stoppingToken))
            {
                _ = active.GetOrAdd(
                    waiting.Id, key => RunOneAsync(waiting, stoppingToken)
                        .ContinueWith(_ => active.TryRemove(key, out var _), TaskScheduler.Default));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(active.Values);
        }
    }

    private async Task RunOneAsync(Waiting waiting, CancellationToken stopping)
    {
        try
        {
            // Before anything that is waited for: whoever is called first stands first in line.
            using (await _turns.TakeAsync(waiting.Thing, stopping))
            {
                while (!await TryRunAsync(waiting.Id, stopping))
                {
                    // The database is away. Handlers look at what is done already.
                    await Task.Delay(RetryDelay, stopping);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Taken up again at the next start.
        }
    }

    /// <summary>False when the operation has to be taken up again.</summary>
    private async Task<bool> TryRunAsync(Guid id, CancellationToken stopping)
    {
        try
        {
            await using var database = await databases.CreateDbContextAsync(stopping);
            var operation = await database.Operations.SingleOrDefaultAsync(o => o.Id == id, stopping);
            if (operation is { FinishedAt: null })
            {
                await RunAsync(database, operation, stopping);
            }

            return true;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Taken up again at the next start.
            return true;
        }
        catch (Exception failure)
        {
            LogRunnerFailed(log, failure, id);
            return !DatabaseTrouble.Is(failure) || stopping.IsCancellationRequested;
        }
        finally
        {
            if (_waiters.TryRemove(id, out var waiters))
            {
                waiters.TrySetResult();
            }
        }
    }

    private async Task RunAsync(WebVmDbContext database, Operation operation, CancellationToken stopping)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _running[operation.Id] = cancel;
        var context = new OperationContext(operation, Reporter(operation.Id));
        _handlers.TryGetValue(operation.Kind, out var handler);
        try
        {
            // Behind the line above: a cancellation is either seen here, or finds the operation running.
            await database.Entry(operation).ReloadAsync(stopping);
            operation.State = OperationState.Running;
            operation.StartedAt ??= DateTimeOffset.UtcNow;
            await database.SaveChangesAsync(stopping);
            if (operation.CancelRequested)
            {
                await cancel.CancelAsync();
            }

            cancel.Token.ThrowIfCancellationRequested();
            if (handler is null)
            {
                throw new OperationFailedException($"This version of WebVm does not know operations of kind {operation.Kind}.");
            }

            object? result = await handler.RunAsync(context, cancel.Token);
            operation.Result = result is null ? null : JsonSerializer.Serialize(result, ApiJson.Options);
            operation.Progress = 100;
            operation.State = OperationState.Succeeded;
        }
        catch (Exception end) when ((end is OperationCanceledException
            || (end is OperationFailedException && cancel.IsCancellationRequested)) && !stopping.IsCancellationRequested)
        {
            // What fails because what it works on is taken away from it was cancelled.
            operation.State = OperationState.Cancelled;
            await (handler?.GiveUpAsync(context) ?? Task.CompletedTask);
        }
        catch (Exception failure) when (failure is not OperationCanceledException && !DatabaseTrouble.Is(failure))
        {
            operation.State = OperationState.Failed;
            operation.Error = paths.Hide(failure is OperationFailedException ? failure.Message : $"Unexpected: {failure.Message}");
            if (failure is OperationFailedException)
            {
                LogOperationEnded(log, operation.Kind, operation.Target, operation.Error);
            }
            else
            {
                LogOperationFailed(log, failure, operation.Kind, operation.Target);
            }
        }
        finally
        {
            _running.TryRemove(operation.Id, out _);
        }

        operation.FinishedAt = DateTimeOffset.UtcNow;
        operation.Message = null;
        // Reports go past the context, which therefore believes that there never was a message.
        database.Entry(operation).Property(o => o.Message).IsModified = true;
        database.Record(
            $"operation.{operation.State.ToString().ToLowerInvariant()}", $"/api/v1/operations/{operation.Id}", operation.VmId,
            operation.Error, new { operation.Kind, operation.Target });
        await SaveEndAsync(database, stopping);
    }

    /// <summary>What was done is done once: its end is written down when the database is back.</summary>
    private async Task SaveEndAsync(WebVmDbContext database, CancellationToken stopping)
    {
        while (true)
        {
            try
            {
                await database.SaveChangesAsync(CancellationToken.None);
                return;
            }
            catch (Exception away) when (DatabaseTrouble.Is(away) && !stopping.IsCancellationRequested)
            {
                LogNotSaved(log, away.Message);
                await Task.Delay(RetryDelay, stopping);
            }
        }
    }

    private Func<int, string?, Task> Reporter(Guid id)
    {
        long last = 0;
        return async (percent, message) =>
        {
            if (last != 0 && Stopwatch.GetElapsedTime(last) < ReportInterval)
            {
                return;
            }

            last = Stopwatch.GetTimestamp();
            try
            {
                await using var database = await databases.CreateDbContextAsync();
                await database.Operations.Where(o => o.Id == id)
                    .ExecuteUpdateAsync(set => set.SetProperty(o => o.Progress, percent).SetProperty(o => o.Message, message));
            }
            catch (Exception away) when (DatabaseTrouble.Is(away))
            {
                // Long work is not lost for a report: the next one tells as much.
            }
        };
    }

    /// <summary>An operation in line.</summary>
    private readonly record struct Waiting(Guid Id, Guid? VmId, string Target)
    {
        /// <summary>What it works on, which one operation does at a time.</summary>
        public string Thing => VmId?.ToString() ?? Target;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {Kind} on {Target} failed: {Reason}")]
    private static partial void LogOperationEnded(ILogger log, string kind, string target, string? reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Operation {Kind} on {Target} failed")]
    private static partial void LogOperationFailed(ILogger log, Exception failure, string kind, string target);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An operation's end could not be written down yet: {Reason}")]
    private static partial void LogNotSaved(ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Operation {Id} could not be run")]
    private static partial void LogRunnerFailed(ILogger log, Exception failure, Guid id);
}
