namespace WebVm.Api.Operations;

/// <summary>Has those who want the same thing take turns. What nobody wants any more is forgotten.</summary>
internal sealed class Turns
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Queue> _queues = new(StringComparer.Ordinal);

    /// <summary>Things that somebody has or waits for.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _queues.Count;
            }
        }
    }

    /// <summary>Waits for one's turn.</summary>
    /// <returns>Disposed when the turn is over.</returns>
    public async Task<IDisposable> TakeAsync(string thing, CancellationToken cancellation)
    {
        Queue queue;
        lock (_lock)
        {
            if (!_queues.TryGetValue(thing, out queue!))
            {
                _queues[thing] = queue = new Queue();
            }

            queue.Wanted++;
        }

        try
        {
            await queue.Turn.WaitAsync(cancellation);
        }
        catch
        {
            Leave(thing, queue);
            throw;
        }

        return new Taken(this, thing, queue);
    }

    private void Leave(string thing, Queue queue)
    {
        lock (_lock)
        {
            if (--queue.Wanted == 0)
            {
                _queues.Remove(thing);
                queue.Turn.Dispose();
            }
        }
    }

    private sealed class Queue
    {
        public SemaphoreSlim Turn { get; } = new(1);

        public int Wanted { get; set; }
    }

    private sealed class Taken(Turns turns, string thing, Queue queue) : IDisposable
    {
        public void Dispose()
        {
            queue.Turn.Release();
            turns.Leave(thing, queue);
        }
    }
}
