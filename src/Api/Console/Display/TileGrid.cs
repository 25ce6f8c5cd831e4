using System.Runtime.InteropServices;
using WebVm.Api.Console.Display.Jpeg;

namespace WebVm.Api.Console.Display;

/// <summary>
/// What is known of a screen: a copy of its pixels, and for every tile the frame in which it last changed and its encoding. Viewers
/// compare frame numbers, so each gets just what changed since it last looked, however slow it is.
/// </summary>
internal sealed class TileGrid
{
    private const int Size = TileEncoder.TileSize;

    // Photographs take half of raw pixels (16 KiB) and more without loss; text, however coloured, and what programs draw seldom take a
    // quarter.
    private const int SmallestPhotograph = 4 * 1024;

    private readonly TileEncoder _encoder = new();
    private readonly JpegTileEncoder _jpeg = new();
    private readonly uint[] _pixels;
    private readonly uint[] _line;
    private readonly byte[]?[] _encoded;
    private readonly int[] _lengths;
    private readonly byte[]?[] _lossy;
    private readonly int[] _lossyLengths;
    private readonly long[] _lossyOf;
    private readonly long[] _changed;

    public TileGrid(int width, int height)
    {
        (Width, Height) = (width, height);
        Columns = (width + Size - 1) / Size;
        Rows = (height + Size - 1) / Size;
        _pixels = new uint[width * height];
        _line = new uint[width];
        _encoded = new byte[]?[Columns * Rows];
        _lengths = new int[Columns * Rows];
        _lossy = new byte[]?[Columns * Rows];
        _lossyLengths = new int[Columns * Rows];
        _lossyOf = new long[Columns * Rows];
        _changed = new long[Columns * Rows];
        Array.Fill(_lossyOf, -1);
        Array.Fill(_changed, -1);
    }

    public int Width { get; }

    public int Height { get; }

    public int Columns { get; }

    public int Rows { get; }

    public int Count => _changed.Length;

    /// <summary>The frame in which a tile last changed.</summary>
    public long ChangedIn(int tile) => _changed[tile];

    /// <summary>A tile as it goes to viewers.</summary>
    public ReadOnlySpan<byte> Encoded(int tile) => _encoded[tile].AsSpan(0, _lengths[tile]);

    /// <summary>
    /// A photographic tile as JPEG (<see cref="JpegTileEncoder"/>), encoded when somebody first asks for it; empty when the tile is none,
    /// or would not get smaller by half.
    /// </summary>
    public ReadOnlySpan<byte> Lossy(int tile)
    {
        if (_lossyOf[tile] != _changed[tile])
        {
            _lossyOf[tile] = _changed[tile];
            _lossyLengths[tile] = 0;
            if (_lengths[tile] >= SmallestPhotograph && (TileEncoding)_encoded[tile]![0] is TileEncoding.Compressed or TileEncoding.Raw)
            {
                int left = tile % Columns * Size;
                int top = tile / Columns * Size;
                var scan = _jpeg.Encode(
                    _pixels.AsSpan((top * Width) + left), Width, Math.Min(Size, Width - left), Math.Min(Size, Height - top));
                if (scan.Length <= _lengths[tile] / 2)
                {
                    _lossyLengths[tile] = Keep(scan, ref _lossy[tile]);
                }
            }
        }

        return _lossy[tile].AsSpan(0, _lossyLengths[tile]);
    }

    /// <summary>Takes in the screen as it is now.</summary>
    /// <param name="frame">Number of this frame.</param>
    /// <returns>Number of tiles that changed.</returns>
    public int Update(IScreenSource source, long frame)
    {
        int changes = 0;
        Span<bool> changed = stackalloc bool[Columns];
        for (int row = 0; row < Rows; row++)
        {
            int top = row * Size;
            int height = Math.Min(Size, Height - top);
            bool all = _changed[row * Columns] < 0;
            if (!all && !source.MayHaveChanged(top, height))
            {
                continue;
            }

            Compare(source, top, height, all, changed);
            for (int column = 0; column < Columns; column++)
            {
                int tile = (row * Columns) + column;
                if (changed[column] || _changed[tile] < 0)
                {
                    Encode(tile, column * Size, top, Math.Min(Size, Width - (column * Size)), height);
                    _changed[tile] = frame;
                    changes++;
                }
            }
        }

        return changes;
    }

    /// <summary>Copies a row of tiles, and finds which of them differ from the copy before.</summary>
    /// <param name="all">There is no copy yet: every line is read.</param>
    private void Compare(IScreenSource source, int top, int height, bool all, Span<bool> changed)
    {
        changed.Clear();
        for (int y = top; y < top + height; y++)
        {
            if (!all && !source.MayHaveChanged(y, 1))
            {
                continue;
            }

            source.ReadLine(y, _line);
            var before = _pixels.AsSpan(y * Width, Width);
            for (int column = 0; column < Columns; column++)
            {
                int left = column * Size;
                int width = Math.Min(Size, Width - left);
                if (!MemoryMarshal.AsBytes(_line.AsSpan(left, width)).SequenceEqual(MemoryMarshal.AsBytes(before.Slice(left, width))))
                {
                    _line.AsSpan(left, width).CopyTo(before[left..]);
                    changed[column] = true;
                }
            }
        }
    }

    // Encoded from the copy: the guest may be writing at this moment, and what is sent has to be what is compared with next time.
    private void Encode(int tile, int left, int top, int width, int height)
    {
        var data = _encoder.Encode(_pixels.AsSpan((top * Width) + left), Width, width, height);
        _lengths[tile] = Keep(data, ref _encoded[tile]);
    }

    private static int Keep(ReadOnlySpan<byte> data, ref byte[]? buffer)
    {
        if (buffer is null || buffer.Length < data.Length)
        {
            buffer = new byte[Math.Max(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)data.Length))];
        }

        data.CopyTo(buffer);
        return data.Length;
    }
}

/// <summary>A screen whose pixels can be read.</summary>
internal interface IScreenSource
{
    /// <summary>False only when none of the lines has changed since the last update.</summary>
    bool MayHaveChanged(int top, int height);

    /// <summary>Reads a line as 0x00RRGGBB.</summary>
    void ReadLine(int y, Span<uint> line);
}
