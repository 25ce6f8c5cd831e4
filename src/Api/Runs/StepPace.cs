using System.Diagnostics;

namespace WebVm.Api.Runs;

/// <summary>
/// Keeps an agent's steps apart, whatever wakes it: what a monitor sends wakes its agent, and what it answers decides what is done next. So
/// many steps come at once, then one in each while (the generic cell rate algorithm).
/// </summary>
internal sealed class StepPace
{
    private const int AtOnce = 100;
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    private TimeSpan _owed;
    private long _takenAt = Stopwatch.GetTimestamp();

    /// <summary>Waits until one more step may be taken.</summary>
    public async Task TakeAsync(CancellationToken cancellation)
    {
        var passed = Stopwatch.GetElapsedTime(_takenAt);
        _takenAt = Stopwatch.GetTimestamp();
        _owed = (_owed > passed ? _owed - passed : TimeSpan.Zero) + s_interval;
        if (_owed - (AtOnce * s_interval) is { Ticks: > 0 } early)
        {
            await Task.Delay(early, cancellation);
        }
    }
}
