using System.Runtime.InteropServices;

namespace WebVm.Api.Console.Display;

/// <summary>
/// What is known of a screen: a copy of its pixels, and for every tile the frame in which it last changed and its encoding. Viewers
/// compare frame numbers, so each gets just what changed since it last looked, however slow it is.
/// </summary>
internal sealed class TileGrid
{
    private const int Size = TileEncoder.TileSize;

    private readonly TileEncoder _encoder = new();
    private readonly uint[] _pixels;
    private readonly byte[]?[] _encoded;
    private readonly int[] _lengths;
    private readonly long[] _changed;

    public TileGrid(int width, int height)
    {
        (Width, Height) = (width, height);
        Columns = (width + Size - 1) / Size;
        Rows = (height + Size - 1) / Size;
        _pixels = new uint[width * height];
        _encoded = new byte[]?[Columns * Rows];
        _lengths = new int[Columns * Rows];
        _changed = new long[Columns * Rows];
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

    /// <summary>Takes in the screen as it is now.</summary>
    /// <param name="source">The framebuffer's visible part.</param>
    /// <param name="stride">Pixels from one line to the next.</param>
    /// <param name="frame">Number of this frame.</param>
    /// <param name="rowMayHaveChanged">Whether a row of tiles, by its number, has to be looked at.</param>
    /// <returns>Number of tiles that changed.</returns>
    public int Update(ReadOnlySpan<uint> source, int stride, long frame, Func<int, bool> rowMayHaveChanged)
    {
        int changes = 0;
        for (int row = 0; row < Rows; row++)
        {
            if (!rowMayHaveChanged(row))
            {
                continue;
            }

            int top = row * Size;
            int height = Math.Min(Size, Height - top);
            for (int column = 0; column < Columns; column++)
            {
                int left = column * Size;
                int width = Math.Min(Size, Width - left);
                int tile = (row * Columns) + column;
                if (CopyIfChanged(source[((top * stride) + left)..], stride, left, top, width, height) || _changed[tile] < 0)
                {
                    Encode(tile, left, top, width, height);
                    _changed[tile] = frame;
                    changes++;
                }
            }
        }

        return changes;
    }

    // Encoded from the copy: the guest may be writing at this moment, and what is sent has to be what is compared with next time.
    private void Encode(int tile, int left, int top, int width, int height)
    {
        var data = _encoder.Encode(_pixels.AsSpan((top * Width) + left), Width, width, height);
        ref byte[]? buffer = ref _encoded[tile];
        if (buffer is null || buffer.Length < data.Length)
        {
            buffer = new byte[Math.Max(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)data.Length))];
        }

        data.CopyTo(buffer);
        _lengths[tile] = data.Length;
    }

    private bool CopyIfChanged(ReadOnlySpan<uint> source, int stride, int left, int top, int width, int height)
    {
        bool changed = false;
        for (int y = 0; y < height; y++)
        {
            var now = source.Slice(y * stride, width);
            var before = _pixels.AsSpan(((top + y) * Width) + left, width);
            if (!MemoryMarshal.AsBytes(now).SequenceEqual(MemoryMarshal.AsBytes((ReadOnlySpan<uint>)before)))
            {
                now.CopyTo(before);
                changed = true;
            }
        }

        return changed;
    }
}
