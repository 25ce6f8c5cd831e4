using Microsoft.AspNetCore.SignalR;

namespace WebVm.Api.Console;

/// <summary>
/// How old input over one connection may be. Once a second the service sends the time of its own clock ("pulse"), and the browser sends it
/// back (<see cref="ConsoleHub.Heard"/>). Messages of a connection keep their order, so the last time that came back before some input
/// bounds the input's age, without a clock of the browser's. What was held up on its way is not carried out: keys that were pressed on a
/// screen that stood still must not reach what is there later.
/// </summary>
internal sealed class Pulse
{
    /// <summary>
    /// Milliseconds. The browser holds back what is typed after three seconds of silence; this is that, and what a busy host may take.
    /// </summary>
    private const long OldestInput = 5_000;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // A client that never sends a pulse back is none that shows a screen to a person.
    private long _heard = long.MaxValue;
    private bool _lapsed;

    /// <summary>Whether what arrives now was sent lately.</summary>
    public bool Fresh =>
        Volatile.Read(ref _heard) is var heard && (heard == long.MaxValue || Environment.TickCount64 - heard <= OldestInput);

    /// <summary>A pulse came back. A time to come counts as now: it is no way to send input that is for ever fresh.</summary>
    public void Heard(long time) => Volatile.Write(ref _heard, Math.Min(time, Environment.TickCount64));

    /// <summary>Input was carried out. What waited for that in line is no older on its way than it was.</summary>
    public void Renew()
    {
        if (Volatile.Read(ref _heard) != long.MaxValue)
        {
            Volatile.Write(ref _heard, Environment.TickCount64);
        }
    }

    /// <summary>Sends pulses until the connection is gone.</summary>
    /// <param name="lapsed">Called when nothing has come back for too long: once, until it comes back again.</param>
    public async Task BeatAsync(ISingleClientProxy client, Func<Task> lapsed, CancellationToken gone)
    {
        using var timer = new PeriodicTimer(Interval);
        var sending = Task.CompletedTask;
        try
        {
            do
            {
                // What a stalled connection does not take is not queued.
                if (sending.IsCompleted)
                {
                    sending = client.SendAsync("pulse", Environment.TickCount64, gone);
                }

                if (Fresh)
                {
                    _lapsed = false;
                }
                else if (!_lapsed)
                {
                    _lapsed = true;
                    await lapsed();
                }
            }
            while (await timer.WaitForNextTickAsync(gone));
        }
        catch (OperationCanceledException)
        {
            // The viewer left.
        }
    }
}
