using System.Diagnostics;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.Logging;
using WebVm.Api.Console.Display;
using WebVm.Api.Supervisor;
using WebVm.Vmm.Control;

namespace WebVm.Api.Console;

/// <summary>Everybody who watches one VM's screen, and the loop that feeds them. Nothing runs while nobody watches.</summary>
internal sealed partial class ConsoleRoom(Guid vm, VmSupervisor supervisor, ILogger log)
{
    private static readonly TimeSpan AbsencePoll = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private Viewer[] _viewers = [];
    private Viewer? _controller;
    private bool _feeding;
    private bool _off;
    private ScreenTicks? _ticks;
    private long _frames;
    private long _bytes;

    public ConsoleTotals Totals => new(Volatile.Read(ref _frames), Volatile.Read(ref _bytes));

    public async Task JoinAsync(Viewer viewer)
    {
        bool off;
        lock (_lock)
        {
            _viewers = [.. _viewers, viewer];
            _controller ??= viewer.MayControl ? viewer : null;
            off = _off;
            if (!_feeding)
            {
                _feeding = true;
                _ = Task.Run(FeedAsync);
            }
        }

        if (off)
        {
            await viewer.Client.SendAsync("off");
        }

        await AnnounceAsync();
    }

    public async Task LeaveAsync(Viewer viewer)
    {
        bool controlled;
        lock (_lock)
        {
            _viewers = [.. _viewers.Where(other => other != viewer)];
            controlled = _controller == viewer;
            if (controlled)
            {
                _controller = _viewers.FirstOrDefault(other => other.MayControl);
            }
        }

        if (controlled)
        {
            await ReleaseKeysAsync();
        }

        await AnnounceAsync();
    }

    /// <summary>Somebody types or points: the screen is going to change.</summary>
    public void ExpectChange() => Volatile.Read(ref _ticks)?.Active(Stopwatch.GetTimestamp());

    public bool IsController(Viewer viewer) => Volatile.Read(ref _controller) == viewer;

    public async Task TakeControlAsync(Viewer viewer)
    {
        if (!viewer.MayControl)
        {
            return;
        }

        lock (_lock)
        {
            _controller = viewer;
        }

        await ReleaseKeysAsync();
        await AnnounceAsync();
    }

    private async Task ReleaseKeysAsync()
    {
        try
        {
            await (supervisor.Client(vm)?.ReleaseKeysAsync() ?? Task.CompletedTask);
        }
        catch (Exception failure) when (failure is IOException or ControlException)
        {
            // The machine has no keyboard any more: nothing is pressed.
        }
    }

    private async Task AnnounceAsync()
    {
        Viewer[] viewers;
        Viewer? controller;
        lock (_lock)
        {
            (viewers, controller) = (_viewers, _controller);
        }

        string[] names = [.. viewers.Select(viewer => viewer.Name)];
        await Task.WhenAll(viewers.Select(viewer => viewer.Client.SendAsync("presence", names, controller?.Name ?? "", viewer == controller)));
    }

    private async Task FeedAsync()
    {
        using var lease = supervisor.Use(vm);
        var agent = lease.Agent;
        while (TryGoOn())
        {
            try
            {
                if (agent.Client is { } client)
                {
                    using var screen = new MonitorScreen(await client.AttachDisplayAsync());
                    await FeedFromAsync(client, screen);
                    await client.DetachDisplayAsync();
                    continue;
                }
            }
            catch (Exception failure) when (failure is IOException or ControlException or ObjectDisposedException)
            {
                LogDisplayLost(log, failure.Message);
            }

            await SetOffAsync(true);
            await Task.WhenAny(agent.Changed, Task.Delay(AbsencePoll));
        }
    }

    private async Task FeedFromAsync(ControlClient client, MonitorScreen screen)
    {
        using var ticks = new ScreenTicks(Stopwatch.GetTimestamp());
        Volatile.Write(ref _ticks, ticks);
        TileGrid? grid = null;
        long frame = 0;
        long changedAt = 0;
        while (!client.Closed.IsCompleted && await ticks.NextAsync() && Volatile.Read(ref _viewers).Length > 0)
        {
            if (screen.Begin(out bool fresh) is not { } mayHaveChanged)
            {
                grid = null;
                await SetOffAsync(true);
                continue;
            }

            if (_off)
            {
                await SetOffAsync(false);
            }

            if (fresh || grid is null)
            {
                grid = new TileGrid(screen.Mode.Width, screen.Mode.Height);
            }

            long now = Stopwatch.GetTimestamp();
            var viewers = Volatile.Read(ref _viewers);
            // What nobody would get yet is looked at later, once for all that happens until then.
            if (mayHaveChanged && AnyReady(viewers, now))
            {
                if (grid.Update(screen, frame + 1) > 0)
                {
                    frame++;
                    changedAt = now;
                    Volatile.Write(ref _frames, _frames + 1);
                    ticks.Active(now);
                }

                screen.End();
            }

            ticks.Still(now);

            foreach (var viewer in viewers)
            {
                int sent = viewer.SendIfReady(grid, frame, changedAt, now);
                if (sent > 0)
                {
                    // There may be more of the same for this viewer when it has painted, without any change: then it comes at once as well.
                    ticks.Active(now);
                    Volatile.Write(ref _bytes, _bytes + sent);
                }
            }
        }
    }

    private static bool AnyReady(Viewer[] viewers, long now)
    {
        foreach (var viewer in viewers)
        {
            if (viewer.IsReady(now))
            {
                return true;
            }
        }

        return false;
    }

    private bool TryGoOn()
    {
        lock (_lock)
        {
            _feeding = _viewers.Length > 0;
            return _feeding;
        }
    }

    private async Task SetOffAsync(bool off)
    {
        if (_off == off)
        {
            return;
        }

        _off = off;
        if (off)
        {
            await Task.WhenAll(Volatile.Read(ref _viewers).Select(viewer => viewer.Client.SendAsync("off")));
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A display is lost: {Reason}")]
    private static partial void LogDisplayLost(ILogger log, string reason);
}
