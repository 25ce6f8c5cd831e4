using System.Text.Json;
using WebVm.Api.Persistence.Entities;
using WebVm.Vmm.Control;

namespace WebVm.Api.Runs;

/// <summary>The connection to the monitor of a VM's run, and what comes over it by itself.</summary>
/// <param name="serial">Where the serial port's output goes. Throws <see cref="ObjectDisposedException"/> when the VM is gone.</param>
/// <param name="wake">Called for all else that it says, and at the connection's end.</param>
internal sealed class MonitorLink(Func<SerialJournal> serial, Action wake)
{
    /// <summary>How long a monitor may take to answer what it has at hand.</summary>
    public static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(10);

    // A monitor gives its vCPUs half of it to leave guest code.
    private static readonly TimeSpan RequestPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LastWordsPatience = TimeSpan.FromSeconds(5);

    private volatile ControlClient? _client;
    private string? _run;

    /// <summary>The screen of the present run, if it has crashed.</summary>
    private byte[]? _lastScreen;

    /// <summary>Null when there is no connection.</summary>
    public ControlClient? Client => _client is { Closed.IsCompleted: false } client ? client : null;

    /// <summary>The process of the connected monitor, for its use of processor and memory.</summary>
    public int? MonitorId { get; private set; }

    public byte[]? LastScreen => _client?.LastScreen ?? _lastScreen;

    /// <summary>The connection to the monitor of the VM's present run; null when there is none.</summary>
    public ControlClient? Of(Vm vm) => _run == vm.RunId ? Client : null;

    /// <summary>Connects, with the serial port's output coming in.</summary>
    /// <exception cref="IOException">There is no monitor that listens.</exception>
    /// <exception cref="TimeoutException">It does not answer.</exception>
    /// <exception cref="ControlException">It refuses.</exception>
    public async Task ConnectAsync(RunDirectory directory, string run, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(AnswerPatience);
        ControlClient client;
        try
        {
            client = await ControlClient.ConnectAsync(directory.Control, limit.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TimeoutException(PowerRecord.NoAnswer);
        }

        client.Patience = RequestPatience;
        // What a connection hears belongs to its own run, however late it comes.
        client.Event += (name, data) => Hear(run, name, data);
        client.Start();
        try
        {
            await client.SubscribeSerialAsync(serial().Resume(run)).WaitAsync(AnswerPatience, cancellation);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        _ = client.Closed.ContinueWith(_ => wake(), TaskScheduler.Default);
        (_client, _run, MonitorId) = (client, run, directory.MonitorId());
    }

    /// <summary>Lets what a monitor that has ended sent last come in.</summary>
    public async Task HearOutAsync(CancellationToken cancellation)
    {
        if (Client is { } client)
        {
            await Task.WhenAny(client.Closed, Task.Delay(LastWordsPatience, cancellation));
        }
    }

    /// <summary>Lets go of the monitor. Its last screen, which comes before the connection's end, is kept.</summary>
    public void Detach()
    {
        _lastScreen = LastScreen;
        _client?.Dispose();
        _client = null;
        _run = null;
    }

    /// <summary>The run is over, and what it showed has been kept.</summary>
    public void Forget() => _lastScreen = null;

    private void Hear(string run, string name, JsonElement data)
    {
        if (name != ControlEvents.SerialOutput)
        {
            wake();
        }
        else if (data.Deserialize(ControlJson.Default.SerialData) is { } output)
        {
            try
            {
                serial().Append(run, output.Offset, output.Data);
            }
            catch (ObjectDisposedException)
            {
                // From a monitor that was let go of.
            }
        }
    }
}
