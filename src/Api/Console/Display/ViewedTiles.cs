using System.Diagnostics;

namespace WebVm.Api.Console.Display;

/// <summary>
/// What one viewer has of a screen, tile by tile, and with it what the next frame is to hold: first what has changed; then, if there is
/// room, tiles that came with loss and have been still since, without it. On a link that is not slow nothing comes with loss.
/// </summary>
internal sealed class ViewedTiles
{
    /// <summary>How long a tile that came with loss is left as it is; until then it is taken to be in motion.</summary>
    public static readonly TimeSpan StillAfter = TimeSpan.FromMilliseconds(300);

    private static readonly long s_stillTicks = (long)(StillAfter.TotalSeconds * Stopwatch.Frequency);

    private TileGrid? _grid;
    private long[] _had = [];
    private long[] _lossySince = [];
    private long _complete = -1;
    private int _next;

    /// <summary>Tiles that the viewer has with loss.</summary>
    public int Lossy { get; private set; }

    /// <param name="newest">Number of the newest frame in the grid.</param>
    /// <param name="now">Stopwatch ticks.</param>
    /// <param name="news">Whether the frame holds something that has changed, and not only what the viewer had with loss.</param>
    /// <returns>Number of tiles in the frame.</returns>
    public int Compose(TileGrid grid, long newest, LinkMeter link, long now, FrameWriter frame, out bool news)
    {
        news = false;
        if (grid == _grid && _complete >= newest && Lossy == 0)
        {
            return 0;
        }

        if (grid != _grid)
        {
            Forget(grid);
        }

        frame.Begin();
        if (_complete < newest && AddChanged(grid, link, now, frame))
        {
            _complete = newest;
        }

        news = frame.Tiles > 0;
        if (Lossy > 0 && _complete >= newest)
        {
            AddStill(grid, link.FrameBytes, now, frame);
        }

        return frame.Tiles;
    }

    private void Forget(TileGrid grid)
    {
        _grid = grid;
        _had = new long[grid.Count];
        _lossySince = new long[grid.Count];
        Array.Fill(_had, -1);
        _complete = -1;
        _next = 0;
        Lossy = 0;
    }

    /// <summary>What does not fit is where the next frame begins: no tile waits because others change again and again.</summary>
    /// <returns>Whether all fitted.</returns>
    private bool AddChanged(TileGrid grid, LinkMeter link, long now, FrameWriter frame)
    {
        int room = link.FrameBytes;
        for (int i = 0; i < grid.Count; i++)
        {
            int tile = (_next + i) % grid.Count;
            if (grid.ChangedIn(tile) <= _had[tile])
            {
                continue;
            }

            if (frame.Length >= room || frame.IsFull)
            {
                _next = tile;
                return false;
            }

            _had[tile] = grid.ChangedIn(tile);
            var lossy = link.IsSlow ? grid.Lossy(tile) : default;
            if (lossy.IsEmpty)
            {
                frame.Add(tile, grid.Encoded(tile));
            }
            else
            {
                frame.AddLossy(tile, lossy);
            }

            Remember(tile, lossy.IsEmpty ? 0 : now);
        }

        return true;
    }

    private void AddStill(TileGrid grid, int room, long now, FrameWriter frame)
    {
        for (int tile = 0; tile < grid.Count && (frame.Tiles == 0 || frame.Length < room); tile++)
        {
            if (_lossySince[tile] != 0 && now - _lossySince[tile] >= s_stillTicks)
            {
                frame.Add(tile, grid.Encoded(tile));
                Remember(tile, 0);
            }
        }
    }

    /// <param name="lossySince">When the tile was sent with loss; 0 when it was sent without.</param>
    private void Remember(int tile, long lossySince)
    {
        Lossy += (lossySince != 0 ? 1 : 0) - (_lossySince[tile] != 0 ? 1 : 0);
        _lossySince[tile] = lossySince;
    }
}
