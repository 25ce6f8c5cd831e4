using WebVm.Api.Events;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Web.Live;

/// <summary>Hands what happens to every open page: one reader of the event feed for all of them.</summary>
public sealed partial class LiveEvents(EventFeed feed, ILogger<LiveEvents> log) : BackgroundService
{
    private readonly Lock _lock = new();
    private readonly HashSet<Subscription> _subscriptions = [];

    /// <summary>Calls back for every event from now on, on a thread of its own, until disposed.</summary>
    public IDisposable Subscribe(Action<EventRecord> happened)
    {
        var subscription = new Subscription(this, happened);
        lock (_lock)
        {
            _subscriptions.Add(subscription);
        }

        return subscription;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        long after = await feed.LatestAsync(stoppingToken);
        await foreach (var events in feed.ReadAsync(after, cancellation: stoppingToken))
        {
            foreach (var happened in events)
            {
                Tell(happened.Record);
            }
        }
    }

    private void Tell(EventRecord record)
    {
        Subscription[] listeners;
        lock (_lock)
        {
            listeners = [.. _subscriptions];
        }

        foreach (var listener in listeners)
        {
            try
            {
                listener.Happened(record);
            }
            catch (Exception failure)
            {
                LogListenerFailed(log, failure);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A page failed to take an event")]
    private static partial void LogListenerFailed(ILogger log, Exception failure);

    private sealed class Subscription(LiveEvents owner, Action<EventRecord> happened) : IDisposable
    {
        public Action<EventRecord> Happened { get; } = happened;

        public void Dispose()
        {
            lock (owner._lock)
            {
                owner._subscriptions.Remove(this);
            }
        }
    }
}
