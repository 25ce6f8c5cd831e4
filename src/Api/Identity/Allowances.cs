namespace WebVm.Api.Identity;

/// <summary>
/// So many at once for each key, then one by one as time passes: the generic cell rate algorithm (ITU-T I.371, Annex A), one time for each
/// key. However many keys there are, the memory is bounded: those that were not seen for longest are forgotten, which leaves nobody worse
/// off.
/// </summary>
/// <param name="most">What a key has to begin with.</param>
/// <param name="refill">After which it has one more.</param>
internal sealed class Allowances(int most, TimeSpan refill, TimeProvider time)
{
    /// <summary>Keys that are remembered at least; twice as many at most.</summary>
    public const int Remembered = 16384;

    private readonly Lock _lock = new();
    private Dictionary<string, DateTimeOffset> _current = new(StringComparer.Ordinal);
    private Dictionary<string, DateTimeOffset> _before = new(StringComparer.Ordinal);

    /// <summary>Keys that are remembered.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _current.Count + _before.Count;
            }
        }
    }

    /// <summary>Takes one. False, and nothing is taken, when the key has none.</summary>
    public bool TryTake(string key, out TimeSpan retryAfter)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            var full = FullAt(key, now) + refill;
            retryAfter = full - now - (most * refill);
            if (retryAfter > TimeSpan.Zero)
            {
                return false;
            }

            Remember(key, full);
            return true;
        }
    }

    /// <summary>Gives back what was taken.</summary>
    public void GiveBack(string key)
    {
        lock (_lock)
        {
            Remember(key, FullAt(key, time.GetUtcNow()) - refill);
        }
    }

    /// <summary>How many were taken and have not come back with time.</summary>
    public int Taken(string key)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            return (int)Math.Ceiling((FullAt(key, now) - now) / refill);
        }
    }

    /// <summary>When the key has everything again.</summary>
    private DateTimeOffset FullAt(string key, DateTimeOffset now) =>
        (_current.TryGetValue(key, out var full) || _before.TryGetValue(key, out full)) && full > now ? full : now;

    private void Remember(string key, DateTimeOffset full)
    {
        if (_current.Count >= Remembered && !_current.ContainsKey(key))
        {
            (_before, _current) = (_current, new(StringComparer.Ordinal));
        }

        _current[key] = full;
    }
}
