using System.Diagnostics;
using System.Globalization;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.Logging;
using WebVm.Api.Console.Display;
using WebVm.Api.Runs;
using WebVm.Vmm.Control;

namespace WebVm.Api.Console;

/// <summary>Everybody who watches one VM's screen, and the loop that feeds them. Nothing runs while nobody watches.</summary>
internal sealed partial class ConsoleRoom(Guid vm, VmSupervisor supervisor, ILogger log)
{
    private static readonly TimeSpan AbsencePoll = TimeSpan.FromMilliseconds(250);

    // A copy of a screen is as large as the screen: one that changes its mode all the time is shown less often.
    private static readonly TimeSpan ModePause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private Viewer[] _viewers = [];
    private Viewer? _controller;
    /// <summary>Who got control because its holder left, and has not used it; and who that was.</summary>
    private volatile Inheritance? _inherited;
    private bool _feeding;
    private bool _off;
    private ScreenTicks? _ticks;
    private long _frames;
    private long _bytes;

    public ConsoleTotals Totals => new(Volatile.Read(ref _frames), Volatile.Read(ref _bytes));

    public void Join(Viewer viewer)
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
            _ = viewer.Client.SendAsync("off");
        }

        Announce();
    }

    /// <summary>
    /// Puts a viewer in the place of an earlier one of the same person, with its control: a connection that is lost is seen to be so by its
    /// window and by the service at different times.
    /// </summary>
    /// <param name="former">Id of the earlier viewer.</param>
    /// <returns>Whether the earlier one was still here.</returns>
    public async Task<bool> SucceedAsync(string former, Viewer viewer)
    {
        Viewer? here;
        bool controls;
        lock (_lock)
        {
            here = _viewers.FirstOrDefault(other => other.Id == former && other.Name == viewer.Name);
            bool inherited = _inherited is { } last && last.Former.Id == former && last.Former.Name == viewer.Name
                && last.Heir == _controller;
            controls = viewer.MayControl && (inherited || (here is not null && here == _controller));
            if (here is not null)
            {
                _viewers = [.. _viewers.Where(other => other != here)];
            }

            if (controls)
            {
                (_controller, _inherited) = (viewer, null);
            }
            else if (here is not null && here == _controller)
            {
                _controller = _viewers.FirstOrDefault(other => other.MayControl);
            }
        }

        if (controls)
        {
            await ReleaseKeysAsync();
        }

        Announce();
        return here is not null;
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
                _inherited = _controller is { } heir ? new(viewer, heir) : null;
            }
        }

        if (controlled)
        {
            await ReleaseKeysAsync();
        }

        Announce();
    }

    /// <summary>The controller types or points: the screen is going to change.</summary>
    public void ExpectChange()
    {
        _inherited = null;
        Volatile.Read(ref _ticks)?.Active(Stopwatch.GetTimestamp());
    }

    public bool IsController(Viewer viewer) => Volatile.Read(ref _controller) == viewer;

    public async Task TakeControlAsync(Viewer viewer)
    {
        if (!viewer.MayControl)
        {
            return;
        }

        lock (_lock)
        {
            (_controller, _inherited) = (viewer, null);
        }

        await ReleaseKeysAsync();
        Announce();
    }

    /// <summary>Lets go of every key and button that is down.</summary>
    public async Task ReleaseKeysAsync()
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

    /// <summary>
    /// Tells everybody who watches and who is in control. Nobody waits for it: a viewer whose link stands still takes it when it can.
    /// </summary>
    private void Announce()
    {
        Viewer[] viewers;
        Viewer? controller;
        lock (_lock)
        {
            (viewers, controller) = (_viewers, _controller);
        }

        string[] names = [.. viewers.Select(viewer => viewer.Name)];
        string[] since = [.. viewers.Select(viewer => viewer.Since.ToString("O", CultureInfo.InvariantCulture))];
        int inControl = Array.IndexOf(viewers, controller);
        for (int i = 0; i < viewers.Length; i++)
        {
            _ = viewers[i].Client.SendAsync("presence", names, since, inControl, i);
        }
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
            catch (Exception failure)
            {
                // Whatever its monitor hands over as a display: who watches sees it again when there is one.
                LogDisplayLost(log, failure.Message);
            }

            SetOff(true);
            await Task.WhenAny(agent.Changed, Task.Delay(AbsencePoll));
        }
    }

    private async Task FeedFromAsync(ControlClient client, MonitorScreen screen)
    {
        using var ticks = new ScreenTicks(Stopwatch.GetTimestamp());
        Volatile.Write(ref _ticks, ticks);
        TileGrid? grid = null;
        long madeAt = 0;
        bool renewed = false;
        long frame = 0;
        long changedAt = 0;
        while (!client.Closed.IsCompleted && await ticks.NextAsync() && Volatile.Read(ref _viewers).Length > 0)
        {
            if (screen.Begin(out bool fresh) is not { } mayHaveChanged)
            {
                grid = null;
                SetOff(true);
                continue;
            }

            if (_off)
            {
                SetOff(false);
            }

            long now = Stopwatch.GetTimestamp();
            renewed |= fresh;
            if (renewed || grid is null)
            {
                if (madeAt != 0 && Stopwatch.GetElapsedTime(madeAt, now) < ModePause)
                {
                    continue;
                }

                grid = new TileGrid(screen.Mode.Width, screen.Mode.Height);
                (madeAt, renewed, mayHaveChanged) = (now, false, true);
            }

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

    private void SetOff(bool off)
    {
        if (_off == off)
        {
            return;
        }

        _off = off;
        foreach (var viewer in off ? Volatile.Read(ref _viewers) : [])
        {
            _ = viewer.Client.SendAsync("off");
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A display is lost: {Reason}")]
    private static partial void LogDisplayLost(ILogger log, string reason);

    private sealed record Inheritance(Viewer Former, Viewer Heir);
}
