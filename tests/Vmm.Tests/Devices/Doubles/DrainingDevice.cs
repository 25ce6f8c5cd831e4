using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>A device whose drain a test holds up.</summary>
internal sealed class DrainingDevice(string name, List<string> log) : IDevice, IDrainable
{
    private TaskCompletionSource _drain = Completed();

    public string Name => name;

    /// <summary>Does not let go when its time is up.</summary>
    public bool Stubborn { get; init; }

    public Exception? DrainFailure { get; set; }

    /// <summary>From now on something is in progress.</summary>
    public void Hold() => _drain = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Finish() => _drain.TrySetResult();

    public void Reset() => Note("reset");

    public void Start() => Note("start");

    public void Stop() => Note("stop");

    public async Task DrainAsync(CancellationToken giveUp)
    {
        Note("drain");
        if (DrainFailure is { } failure)
        {
            throw failure;
        }

        await (Stubborn ? _drain.Task : _drain.Task.WaitAsync(giveUp));
        Note("rests");
    }

    private static TaskCompletionSource Completed()
    {
        var completed = new TaskCompletionSource();
        completed.SetResult();
        return completed;
    }

    private void Note(string what)
    {
        lock (log)
        {
            log.Add($"{name} {what}");
        }
    }
}
