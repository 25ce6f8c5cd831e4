using System.Diagnostics;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;

namespace WebVm.Api.Console.Display;

/// <summary>
/// One browser that watches a screen. At most one frame is on its way to it; what changes meanwhile is in the next, so a slow viewer gets
/// fewer frames and never old ones, and a screen in full motion comes at a pace (<see cref="FramePace"/>). Over a slow link photographs
/// come with loss first, and without when they stand still (<see cref="LinkMeter"/>, <see cref="ViewedTiles"/>).
/// </summary>
internal sealed class Viewer
{
    private readonly HubConnectionContext _connection;
    private readonly InvocationMessage _message;
    private readonly LinkMeter _link = new();
    private readonly ViewedTiles _tiles = new();
    private readonly FrameWriter _frame = new();
    private FramePace _pace;
    private long _changedAt;
    private long _sentAt;
    private int _latency;
    private volatile bool _inFlight;
    private uint _frameId;

    /// <param name="client">The same connection, for all other messages.</param>
    public Viewer(HubConnectionContext connection, ISingleClientProxy client, string name, bool mayControl)
    {
        (_connection, Client, Name, MayControl) = (connection, client, name, mayControl);
        _message = new InvocationMessage("frame", [this]);
    }

    /// <summary>Of its connection; nobody but its window knows it.</summary>
    public string Id => _connection.ConnectionId;

    public string Name { get; }

    /// <summary>When it began to watch: tells one window of a person from another.</summary>
    public DateTimeOffset Since { get; } = DateTimeOffset.UtcNow;

    public bool MayControl { get; }

    public ISingleClientProxy Client { get; }

    /// <summary>The browser has painted the frame.</summary>
    /// <param name="kept">Milliseconds from its arrival there to now: a page that is hidden or busy is no slow link.</param>
    public void Acknowledge(uint frame, int kept)
    {
        if (_inFlight && frame == _frameId)
        {
            _link.Measure(_frame.Written.Length, Stopwatch.GetElapsedTime(_sentAt), TimeSpan.FromMilliseconds(kept));
            if (_changedAt != 0)
            {
                _latency = (int)Math.Min(ushort.MaxValue, Stopwatch.GetElapsedTime(_changedAt).TotalMilliseconds);
            }

            _inFlight = false;
        }
    }

    /// <summary>Whether a frame would be sent, if there were anything new. For the thread that sends.</summary>
    /// <param name="now">Stopwatch ticks.</param>
    public bool IsReady(long now) => !_inFlight && _pace.Allows(now);

    /// <summary>
    /// Sends what has changed since the last frame, or what came with loss, if the browser is ready and there is anything.
    /// </summary>
    /// <param name="frame">Number of the newest frame in the grid.</param>
    /// <param name="changedAt">When it was taken (Stopwatch ticks).</param>
    /// <param name="now">Stopwatch ticks.</param>
    /// <returns>Bytes sent.</returns>
    public int SendIfReady(TileGrid grid, long frame, long changedAt, long now)
    {
        if (!IsReady(now))
        {
            return 0;
        }

        int tiles = _tiles.Compose(grid, frame, _link, now, _frame, out bool news);
        if (tiles == 0)
        {
            return 0;
        }

        _frame.Finish(++_frameId, grid.Width, grid.Height, _latency);
        _pace.Sent(now, tiles);
        // What comes again without loss answers to nothing that the guest did.
        _changedAt = news ? changedAt : 0;
        _sentAt = Stopwatch.GetTimestamp();
        _inFlight = true;
        // The buffer is not touched again before the frame has been acknowledged, so sending need not be awaited.
        var sending = _connection.WriteAsync(_message);
        if (!sending.IsCompletedSuccessfully)
        {
            _ = sending.AsTask();
        }

        return _frame.Written.Length;
    }

    /// <summary>What is sent, for the argument that the viewer itself is.</summary>
    public ReadOnlySpan<byte> Frame => _frame.Written;
}
