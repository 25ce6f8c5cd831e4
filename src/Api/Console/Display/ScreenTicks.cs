using System.Diagnostics;

namespace WebVm.Api.Console.Display;

/// <summary>
/// When a screen that somebody watches is looked at: a hundred times a second while things happen, less often when nothing has for a
/// second. A change or a key brings the quick rhythm back at once, so that what a viewer does is never answered late.
/// </summary>
internal sealed class ScreenTicks : IDisposable
{
    public static readonly TimeSpan Quick = TimeSpan.FromMilliseconds(10);
    public static readonly TimeSpan Resting = TimeSpan.FromMilliseconds(40);
    public static readonly TimeSpan UntilRest = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly PeriodicTimer _timer = new(Quick);
    private long _activeAt;
    private bool _disposed;

    /// <param name="now">Stopwatch ticks.</param>
    public ScreenTicks(long now) => _activeAt = now;

    public TimeSpan Period => _timer.Period;

    /// <returns>False when there are no more ticks.</returns>
    public ValueTask<bool> NextAsync() => _timer.WaitForNextTickAsync();

    /// <summary>The screen has changed, or is going to, as somebody types or points. For any thread.</summary>
    /// <param name="now">Stopwatch ticks.</param>
    public void Active(long now)
    {
        lock (_lock)
        {
            _activeAt = now;
            Set(Quick);
        }
    }

    /// <summary>Nothing has changed at this tick.</summary>
    /// <param name="now">Stopwatch ticks.</param>
    public void Still(long now)
    {
        lock (_lock)
        {
            if (Stopwatch.GetElapsedTime(_activeAt, now) >= UntilRest)
            {
                Set(Resting);
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _timer.Dispose();
        }
    }

    // Another period begins anew, so it is set only when it is another.
    private void Set(TimeSpan period)
    {
        if (!_disposed && _timer.Period != period)
        {
            _timer.Period = period;
        }
    }
}
