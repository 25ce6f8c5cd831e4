namespace WebVm.Vmm.Devices.Framework;

/// <summary>The time that devices are given to come to rest: told when it is up, and left alone shortly after.</summary>
internal sealed class DrainLimit : IDisposable
{
    /// <summary>For letting go of a back end once time is up: a few messages, on a host with other things to do.</summary>
    private static readonly TimeSpan s_grace = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource _giveUp = new();
    private readonly CancellationTokenSource _left = new();

    /// <summary>Time is up: devices are told.</summary>
    public CancellationToken GiveUp => _giveUp.Token;

    /// <summary>Nobody waits any more.</summary>
    public CancellationToken Left => _left.Token;

    /// <summary>Waits for <paramref name="drains"/>, which end by themselves or with <see cref="Left"/>.</summary>
    /// <param name="cancellation">Time is up already.</param>
    public async Task Wait(Task drains, TimeSpan deadline, CancellationToken cancellation)
    {
        await WaitFor(drains, deadline, cancellation);
        if (!drains.IsCompleted)
        {
            try
            {
                await _giveUp.CancelAsync();
            }
            catch (AggregateException)
            {
                // What a device registered threw. Whether it came to rest its drain tells.
            }

            await WaitFor(drains, s_grace, CancellationToken.None);
            await _left.CancelAsync();
        }

        await drains;
    }

    public void Dispose()
    {
        _giveUp.Dispose();
        _left.Dispose();
    }

    private static async Task WaitFor(Task drains, TimeSpan time, CancellationToken cancellation)
    {
        if (!drains.IsCompleted)
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            await Task.WhenAny(drains, Task.Delay(time, over.Token));
            await over.CancelAsync();
        }
    }
}
