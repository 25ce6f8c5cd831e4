namespace WebVm.Api.Events;

/// <summary>The newest events in memory, for all readers; and the signal by which they wake. Bounded in number and in bytes.</summary>
internal sealed class EventTail
{
    public const int MostEvents = 4096;
    public const long MostBytes = 8 << 20;

    private readonly Lock _lock = new();
    private readonly TailedEvent[] _ring = new TailedEvent[MostEvents];
    private volatile TaskCompletionSource _beat = NewSignal();
    private long _start = long.MaxValue;
    private long _last = -1;
    private long _bytes;
    private int _oldest;
    private int _count;

    /// <summary>Ends with the next <see cref="Beat"/>: ask for it, look, and then wait.</summary>
    public Task NextBeat => _beat.Task;

    /// <summary>Id of the newest event that is known; -1 before the first is.</summary>
    public long Last
    {
        get
        {
            lock (_lock)
            {
                return _last;
            }
        }
    }

    /// <summary>Nothing is known of events up to this one; all later ones will be added.</summary>
    public void Begin(long after)
    {
        lock (_lock)
        {
            (_start, _last) = (after, after);
        }
    }

    /// <summary>Adds the event behind the last.</summary>
    public void Add(TailedEvent added)
    {
        lock (_lock)
        {
            while (_count == MostEvents || (_count > 0 && _bytes + added.Weight > MostBytes))
            {
                var gone = _ring[_oldest];
                _ring[_oldest] = null!;
                _oldest = (_oldest + 1) % MostEvents;
                _count--;
                _bytes -= gone.Weight;
                _start = gone.Record.Id;
            }

            _ring[(_oldest + _count) % MostEvents] = added;
            _count++;
            _bytes += added.Weight;
            _last = added.Record.Id;
        }
    }

    /// <summary>Wakes readers: there is something new, or time to say that one still lives.</summary>
    public void Beat() => Interlocked.Exchange(ref _beat, NewSignal()).TrySetResult();

    /// <summary>The events behind a position, which is moved on. Null when the position is older than what is kept here.</summary>
    /// <param name="vm">Only events of this VM; the position passes the others.</param>
    public IReadOnlyList<TailedEvent>? Read(ref long position, Guid? vm)
    {
        lock (_lock)
        {
            if (position < _start)
            {
                return null;
            }

            if (position >= _last)
            {
                return [];
            }

            var found = new List<TailedEvent>();
            for (int i = FirstBehind(position); i < _count; i++)
            {
                var next = _ring[(_oldest + i) % MostEvents];
                if (vm is null || next.Record.VmId == vm)
                {
                    found.Add(next);
                }
            }

            position = _last;
            return found;
        }
    }

    private int FirstBehind(long position)
    {
        int low = 0;
        for (int high = _count; low < high;)
        {
            int middle = (low + high) / 2;
            if (_ring[(_oldest + middle) % MostEvents].Record.Id > position)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
