using System.Buffers.Binary;
using System.Diagnostics;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using WebVm.Api.Console.MessagePack;

namespace WebVm.Api.Console.Display;

/// <summary>
/// One browser that watches a screen. At most one frame is on its way to it; what changes meanwhile is in the next, so a slow viewer gets fewer
/// frames and never old ones, and a screen in full motion comes at a pace (<see cref="FramePace"/>).
/// </summary>
internal sealed class Viewer : IMessagePackValue
{
    private const int HeaderBytes = 16;
    private const int TileHeaderBytes = 4;

    private readonly HubConnectionContext _connection;
    private readonly InvocationMessage _message;
    private byte[] _frame = new byte[64 * 1024];
    private int _length;
    private long _sent = -1;
    private TileGrid? _grid;
    private FramePace _pace;
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

    public string Name { get; }

    public bool MayControl { get; }

    public ISingleClientProxy Client { get; }

    /// <summary>The browser has painted the frame.</summary>
    public void Acknowledge(uint frame)
    {
        if (_inFlight && frame == _frameId)
        {
            _latency = (int)Math.Min(ushort.MaxValue, Stopwatch.GetElapsedTime(_sentAt).TotalMilliseconds);
            _inFlight = false;
        }
    }

    /// <summary>Whether a frame would be sent, if there were anything new. For the thread that sends.</summary>
    /// <param name="now">Stopwatch ticks.</param>
    public bool IsReady(long now) => !_inFlight && _pace.Allows(now);

    /// <summary>Sends what has changed since the last frame, if the browser is ready and there is anything.</summary>
    /// <param name="frame">Number of the newest frame in the grid.</param>
    /// <param name="changedAt">When it was taken (Stopwatch ticks).</param>
    /// <param name="now">Stopwatch ticks.</param>
    /// <returns>Bytes sent.</returns>
    public int SendIfReady(TileGrid grid, long frame, long changedAt, long now)
    {
        if (!IsReady(now) || (grid == _grid && _sent >= frame))
        {
            return 0;
        }

        if (grid != _grid)
        {
            _grid = grid;
            _sent = -1;
        }

        int tiles = Compose(grid);
        _sent = frame;
        if (tiles == 0)
        {
            return 0;
        }

        _sentAt = changedAt;
        _pace.Sent(now, tiles);
        _inFlight = true;
        // The buffer is not touched again before the frame has been acknowledged, so sending need not be awaited.
        var sending = _connection.WriteAsync(_message);
        if (!sending.IsCompletedSuccessfully)
        {
            _ = sending.AsTask();
        }

        return _length;
    }

    void IMessagePackValue.WriteTo(MessagePackWriter writer) => writer.WriteBinary(_frame.AsSpan(0, _length));

    /// <summary>
    /// Writes the frame: number (u32), width, height, tile size, latency of an earlier frame in ms, number of tiles, 0 (u16 each); then each tile: its index
    /// in reading order, its length (u16 each), its data (<see cref="TileEncoder"/>). Little endian.
    /// </summary>
    private int Compose(TileGrid grid)
    {
        int at = HeaderBytes;
        int tiles = 0;
        for (int tile = 0; tile < grid.Count; tile++)
        {
            if (grid.ChangedIn(tile) <= _sent)
            {
                continue;
            }

            var data = grid.Encoded(tile);
            Reserve(at + TileHeaderBytes + data.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(at), (ushort)tile);
            BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(at + 2), (ushort)data.Length);
            data.CopyTo(_frame.AsSpan(at + TileHeaderBytes));
            at += TileHeaderBytes + data.Length;
            tiles++;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(_frame, ++_frameId);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(4), (ushort)grid.Width);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(6), (ushort)grid.Height);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(8), TileEncoder.TileSize);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(10), (ushort)_latency);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(12), (ushort)tiles);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(14), 0);
        _length = at;
        return tiles;
    }

    private void Reserve(int length)
    {
        if (length > _frame.Length)
        {
            Array.Resize(ref _frame, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)length));
        }
    }
}
