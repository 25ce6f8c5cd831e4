using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Control;

/// <summary>
/// A connection to a machine's control socket. Requests may be made concurrently; events arrive in order on the connection's own
/// thread. When the machine's process ends or breaks off, pending requests fail with <see cref="IOException"/> and <see cref="Closed"/>
/// completes; one that is not answered within <see cref="Patience"/> fails with <see cref="ControlTimeoutException"/>, and the connection
/// stays.
/// </summary>
public sealed partial class ControlClient : IDisposable
{
    /// <summary>
    /// Bytes of a picture, or of a display's memory: not even packed, the largest screen (<see cref="DisplayView"/>) has more.
    /// </summary>
    public const long LongestPicture = 64 << 20;

    private const int PicturesAtOnce = 4;

    // It is kept with nobody having asked for it.
    private const long LongestLastScreen = 32 << 20;

    // What is received for long: far more than serial ports and viewers make. Each message counts for some bytes more than it has.
    private const double MostBytesPerSecond = 64 << 20;
    private const double MostBytesAtOnce = 64 << 20;
    private const int MessageCost = 8 << 10;

    // Of what the machine's process says of an error: people read it, and databases keep it.
    private const int LongestComplaint = 1000;

    private readonly ConcurrentDictionary<long, TaskCompletionSource<Reply>> _pending = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _pictures = new(PicturesAtOnce);
    private readonly ControlConnection _connection;
    private double _ahead;
    private long _aheadAt = Stopwatch.GetTimestamp();

    private ControlClient(ControlConnection connection, ControlHello hello)
    {
        _connection = connection;
        Hello = hello;
    }

    private sealed class Turn(SemaphoreSlim turns) : IDisposable
    {
        private int _over;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _over, 1) == 0)
            {
                turns.Release();
            }
        }
    }

    /// <summary>
    /// An event by its name (<see cref="ControlEvents"/>), with its data. Raised on the connection's thread: a handler that waits holds up
    /// replies.
    /// </summary>
    public event Action<string, JsonElement>? Event;

    /// <summary>How long a request may take; without limit unless set.</summary>
    public TimeSpan Patience { get; set; } = Timeout.InfiniteTimeSpan;

    /// <summary>
    /// The screen in the moment in which the machine crashed, as a PNG file; null for one that did not, or showed nothing.
    /// </summary>
    public byte[]? LastScreen { get; private set; }

    /// <summary>What the machine said of itself.</summary>
    public ControlHello Hello { get; }

    /// <summary>Completes when the connection has ended, for whatever reason.</summary>
    public Task Closed => _closed.Task;

    /// <exception cref="IOException">Nobody serves there, or does not speak this protocol in this version.</exception>
    public static async Task<ControlClient> ConnectAsync(string path, CancellationToken cancellation = default)
    {
        var connection = new ControlConnection(await OpenAsync(path, cancellation));
        try
        {
            using var abort = cancellation.Register(connection.Abort);
            var hello = await Task.Factory.StartNew(
                () => connection.Receive(ControlJson.Default.ControlHello), CancellationToken.None, TaskCreationOptions.LongRunning,
                TaskScheduler.Default)
                ?? throw new ControlProtocolException("The connection was closed at once; there may be too many clients.");
            if (hello.Protocol != ControlProtocol.Name || hello.Version is < ControlProtocol.OldestVersion or > ControlProtocol.Version)
            {
                throw new ControlProtocolException(
                    $"'{path}' speaks {hello.Protocol} version {hello.Version}, not {ControlProtocol.Name} version {ControlProtocol.OldestVersion} to {ControlProtocol.Version}.");
            }

            return new ControlClient(connection, hello);
        }
        catch (Exception) when (cancellation.IsCancellationRequested)
        {
            connection.Dispose();
            throw new OperationCanceledException(cancellation);
        }
        catch (LinuxException failure)
        {
            connection.Dispose();
            throw new IOException($"'{path}' does not answer: {failure.Message}", failure);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Why nobody can be reached there, as far as the file itself tells it better than the error's number.</summary>
    private static string Reason(string path, LinuxException failure) => failure.Errno switch
    {
        ErrorNumber.EACCES => "it belongs to another user",
        _ when !File.Exists(path) =>
            "there is no such socket. A machine makes it when it is started with --control, and it goes with the machine",
        ErrorNumber.ECONNREFUSED => "no machine listens there; the one that did has ended, or it is no control socket",
        _ => failure.Message,
    };

    private static async Task<FileDescriptor> OpenAsync(string path, CancellationToken cancellation)
    {
        const int attempts = 100;
        for (int attempt = 1; attempt <= attempts; attempt++)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                if (UnixSocket.TryConnect(path) is { } socket)
                {
                    return socket;
                }
            }
            catch (IOException failure) when (failure.InnerException is LinuxException cause)
            {
                throw new IOException($"Cannot connect to '{path}': {Reason(path, cause)}", cause);
            }

            await Task.Delay(10, cancellation);
        }

        throw new IOException($"Cannot connect to '{path}': too many others do at once.");
    }

    /// <summary>Begins to receive. Called once, after handlers have been added to <see cref="Event"/>.</summary>
    public ControlClient Start()
    {
        new Thread(ReceiveLoop) { Name = "control client", IsBackground = true }.Start();
        return this;
    }

    public Task<MachineStatus> StatusAsync() => Call("status", ControlJson.Default.MachineStatus);

    /// <summary>The machine's spec in its JSON form (docs/machine-spec.md).</summary>
    public Task<JsonObject> SpecAsync() => Call("spec", ControlJson.Default.JsonObject);

    public async Task<MachineMetrics> MetricsAsync() => Sound(await Call("metrics", ControlJson.Default.MachineMetrics), metrics =>
        metrics.Vcpus.Count <= MachineSpec.MaximumCpus
            && metrics.Vcpus.Select((vcpu, index) => vcpu is not null && vcpu.Index == index && vcpu.IsSound).All(sound => sound));

    /// <summary>What the machine is made of, and how each device does.</summary>
    public async Task<MachineDevices> DevicesAsync() =>
        Sound(await Call("devices", ControlJson.Default.MachineDevices), devices => devices.Items.All(device => device is not null));

    /// <summary>Plugs a device into a slot of the running machine.</summary>
    /// <param name="device">As in the machine's spec: id, kind, at, settings.</param>
    /// <returns>The device, with its place and every setting.</returns>
    public Task<MachineDevice> AddDeviceAsync(JsonElement device) => Call(
        "device-add", new DeviceAddParameters(device), ControlJson.Default.DeviceAddParameters, ControlJson.Default.MachineDevice);

    /// <summary>Asks the guest to let a device go, and tells what came of it.</summary>
    /// <param name="deadline">
    /// How long the guest may think about it, up to <see cref="ControlProtocol.LongestUnplugDeadline"/>; null for the usual.
    /// </param>
    public async Task<UnplugOutcome> RemoveDeviceAsync(string id, TimeSpan? deadline = null)
    {
        var parameters = new DeviceRemoveParameters(id, deadline is { } time ? (int)time.TotalMilliseconds : null);
        return (await Call(
            "device-remove", parameters, ControlJson.Default.DeviceRemoveParameters, ControlJson.Default.DeviceRemoveResult)).Outcome;
    }

    /// <summary>What the guest was offered and took of the paravirtual interfaces.</summary>
    public async Task<MachineEnlightenments> EnlightenmentsAsync() =>
        Sound(await Call(
            "enlightenments", ControlJson.Default.MachineEnlightenments),
            enlightenments => enlightenments.Items.All(item => item is not null));

    public Task PauseAsync() => Send("pause", null);

    public Task ResumeAsync() => Send("resume", null);

    public Task ResetAsync() => Send("reset", null);

    public Task PressPowerButtonAsync() => Send("power-button", null);

    public Task StopAsync() => Send("stop", null);

    /// <summary>
    /// Saves the machine's state to a directory, at once or not at all; an older state there is replaced. The machine goes on, or stays
    /// paused, as it was. The files are made here, and the machine's process writes into them: it needs no right to the directory.
    /// </summary>
    /// <exception cref="IOException">The directory is something else, or the state could not be written, or is none; nothing is left
    /// behind.</exception>
    public async Task<SaveResult> SaveAsync(string directory)
    {
        if (Hello.Version < ControlProtocol.VersionWithHandedFiles)
        {
            return await Call(
                "save", new SaveParameters(Path.GetFullPath(directory)), ControlJson.Default.SaveParameters,
                ControlJson.Default.SaveResult);
        }

        var files = (await Call("save-files", ControlJson.Default.SaveFilesResult)).Files;
        if (files.Count > SavedStateFolder.MaximumFiles || files.Any(file => file is null)
            || files.DistinctBy(file => file.Name).Count() != files.Count)
        {
            throw new ControlProtocolException("The machine gives its state's files twice, or too many.");
        }

        try
        {
            return await SavedStateFolder.WriteAsync(directory, files.ToDictionary(file => file.Name, file => file.Length), async open =>
            {
                foreach (var some in open.Chunk(DescriptorPassing.MaxDescriptors))
                {
                    var names = new SaveToParameters([.. some.Select(file => file.Key)]);
                    await Request(
                        "save-to", JsonSerializer.SerializeToElement(names, ControlJson.Default.SaveToParameters), 0,
                        [.. some.Select(file => file.Value)]);
                }

                return Sound(await Call("save", ControlJson.Default.SaveResult), saved => saved.MemoryBytes >= 0);
            });
        }
        catch (InvalidDataException wrong)
        {
            throw new ControlProtocolException(wrong.Message);
        }
    }

    /// <summary>Serial output from <paramref name="offset"/> on, as far as there is any and it is still kept.</summary>
    public Task<SerialData> ReadSerialAsync(long offset, int maximum = ControlProtocol.MaximumSerialChunk) =>
        Call("serial-read", new SerialReadParameters(
            offset, maximum), ControlJson.Default.SerialReadParameters, ControlJson.Default.SerialData);

    /// <summary>Serial output as events from <paramref name="offset"/> on.</summary>
    public Task SubscribeSerialAsync(long offset) =>
        Send("serial-subscribe", new SerialSubscribeParameters(offset), ControlJson.Default.SerialSubscribeParameters);

    public Task UnsubscribeSerialAsync() => Send("serial-unsubscribe", null);

    /// <returns>Bytes that the port took.</returns>
    public async Task<int> WriteSerialAsync(byte[] data) =>
        Part((await Call(
            "serial-write", new SerialWriteParameters(data), ControlJson.Default.SerialWriteParameters,
            ControlJson.Default.SerialWriteResult)).Written,
            data.Length);

    /// <param name="keys">Keys or combinations in turn, such as "a" or "ctrl-alt-delete".</param>
    /// <returns>How many the guest took.</returns>
    public async Task<int> SendKeysAsync(params IReadOnlyList<string> keys) =>
        Part((await Call(
            "send-keys", new SendKeysParameters(keys), ControlJson.Default.SendKeysParameters, ControlJson.Default.InputResult)).Taken,
            keys.Count);

    /// <summary>Types on a United States keyboard.</summary>
    /// <returns>Characters typed.</returns>
    public async Task<int> SendTextAsync(string text) =>
        Part((await Call(
            "send-text", new SendTextParameters(text), ControlJson.Default.SendTextParameters, ControlJson.Default.InputResult)).Taken,
            text.Length);

    public async Task<int> SendKeyEventsAsync(params IReadOnlyList<KeyEvent> events) =>
        Part((await Call(
            "key-events", new KeyEventsParameters(events), ControlJson.Default.KeyEventsParameters, ControlJson.Default.InputResult)).Taken,
            events.Count);

    /// <summary>Releases all keys, as when a viewer loses the focus.</summary>
    public Task ReleaseKeysAsync() => Send("release-keys", null);

    public async Task<bool> SendPointerAsync(PointerParameters pointer) =>
        (await Call("pointer", pointer, ControlJson.Default.PointerParameters, ControlJson.Default.InputResult)).Taken > 0;

    /// <summary>The screen as a PNG file.</summary>
    /// <param name="width">Pixels a line at most; null for the screen as it is.</param>
    public async Task<byte[]> ScreenshotAsync(int? width = null)
    {
        var (result, descriptors) = await Fetch(
            "screenshot", JsonSerializer.SerializeToElement(new ScreenshotParameters(width), ControlJson.Default.ScreenshotParameters), 1,
            ControlJson.Default.ScreenshotResult);
        using var file = descriptors[0];
        return ReadPicture(file, result, LongestPicture);
    }

    /// <summary>
    /// For whoever answers to many: waits until few pictures of this machine are in use; until what is returned is disposed there is one
    /// more.
    /// </summary>
    public async Task<IDisposable> PictureTurnAsync(CancellationToken cancellation)
    {
        await _pictures.WaitAsync(cancellation);
        return new Turn(_pictures);
    }

    private static byte[] ReadPicture(FileDescriptor file, ScreenshotResult announced, long longest)
    {
        if (announced.Length < 0 || announced.Length > longest)
        {
            throw new ControlProtocolException($"A picture of {announced.Length} bytes is announced.");
        }

        var png = new byte[announced.Length];
        try
        {
            for (int at = 0; at < png.Length;)
            {
                int count = SparseFile.Read(file, at, png.AsSpan(at));
                at += count > 0 ? count : throw new ControlProtocolException("The picture is shorter than announced.");
            }
        }
        catch (LinuxException wrong)
        {
            throw new ControlProtocolException($"The picture cannot be read: {wrong.Message}");
        }

        return png;
    }

    /// <summary>Shares the display's memory. While at least one client has attached, changes are tracked.</summary>
    public async Task<DisplayView> AttachDisplayAsync()
    {
        var (result, descriptors) = await Fetch("display-attach", null, 2, ControlJson.Default.DisplayAttachResult);
        try
        {
            return new DisplayView(
                MemoryFile.Adopt(descriptors[0], result.FramebufferSize), MemoryFile.Adopt(descriptors[1], result.MapSize));
        }
        catch (Exception wrong) when (wrong is InvalidDataException or LinuxException)
        {
            descriptors[0].Dispose();
            descriptors[1].Dispose();
            throw new ControlProtocolException(wrong.Message);
        }
    }

    public Task DetachDisplayAsync() => Send("display-detach", null);

    /// <summary>Tells the guest's monitor the viewer's size.</summary>
    public Task PreferDisplayAsync(int width, int height) =>
        Send("display-prefer", new DisplayPreferParameters(width, height), ControlJson.Default.DisplayPreferParameters);

    public void Dispose()
    {
        _connection.Abort();
        _closed.TrySetResult();
    }

    private void ReceiveLoop()
    {
        Exception reason = new IOException("The machine closed the connection.");
        try
        {
            while (_connection.Receive(ControlJson.Default.ControlMessage) is { } message)
            {
                Handle(message);
                KeepPace(MessageCost + _connection.Length);
            }
        }
        catch (Exception failure)
        {
            // Whatever it was that the machine's process sent, it ends this connection and not the program that listens.
            reason = new IOException($"The connection to the machine is lost: {failure.Message}", failure);
        }

        _closed.TrySetResult();
        foreach (long id in _pending.Keys)
        {
            if (_pending.TryRemove(id, out var pending))
            {
                pending.TrySetException(reason);
            }
        }

        _connection.Dispose();
    }

    /// <summary>
    /// Lets a machine's process that sends without end wait: it gets a part of one processor for what it says, and that part is not all.
    /// </summary>
    private void KeepPace(int bytes)
    {
        long now = Stopwatch.GetTimestamp();
        _ahead = Math.Max(0, _ahead - (Stopwatch.GetElapsedTime(_aheadAt, now).TotalSeconds * MostBytesPerSecond)) + bytes;
        _aheadAt = now;
        if (_ahead > MostBytesAtOnce)
        {
            Thread.Sleep(TimeSpan.FromSeconds((_ahead - MostBytesAtOnce) / MostBytesPerSecond) + ShortestPause);
        }
    }

    private void Handle(ControlMessage message)
    {
        var descriptors = _connection.TakeDescriptors(message.Descriptors);
        var reply = new Reply(message.Result ?? default, descriptors);
        if (message is { Event: ControlEvents.LastScreen, Descriptors: 1 } && LastScreen is null)
        {
            using var file = descriptors[0];
            LastScreen = ReadPicture(
                file, Decode(new Reply(message.Data ?? default, []), ControlJson.Default.ScreenshotResult), LongestLastScreen);
        }
        else if (message.Event is { } name)
        {
            Release(reply);
            Raise(name, message.Data ?? default);
        }
        else if (message.Id is not { } id || !_pending.TryRemove(id, out var pending))
        {
            Release(reply);
        }
        else if (message.Error is { } error)
        {
            Release(reply);
            pending.TrySetException(new ControlException(error.Code, Tidy(error.Message)));
        }
        else
        {
            pending.TrySetResult(reply);
        }
    }

    /// <summary>
    /// Who listens reads the event's data; when it is none such, the machine's process breaks the rules, and the listener's own does not
    /// end for it.
    /// </summary>
    private void Raise(string name, JsonElement data)
    {
        try
        {
            Event?.Invoke(name, data);
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException)
        {
            throw new ControlProtocolException($"The event '{name}' is not what was expected: {malformed.Message}");
        }
    }

    /// <summary>Text on one line, of a length that can be shown.</summary>
    private static string Tidy(string text)
    {
        string line = string.Create(Math.Min(text.Length, LongestComplaint), text, static (line, text) =>
        {
            for (int index = 0; index < line.Length; index++)
            {
                line[index] = char.IsControl(text[index]) || char.IsSurrogate(text[index]) ? ' ' : text[index];
            }
        });
        return text.Length > LongestComplaint ? line + "…" : line;
    }

    private static void Release(Reply reply)
    {
        foreach (var descriptor in reply.Descriptors)
        {
            descriptor.Dispose();
        }
    }
}
