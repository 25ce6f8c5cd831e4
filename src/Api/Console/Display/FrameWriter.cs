using System.Buffers.Binary;
using WebVm.Api.Console.Display.Jpeg;

namespace WebVm.Api.Console.Display;

/// <summary>
/// Writes a frame: number (u32), width, height, tile size, latency of an earlier frame in ms, number of tiles without loss, number of tiles
/// with loss (u16 each); then each tile without loss: its index in reading order, its length (u16 each), its data
/// (<see cref="TileEncoder"/>); then, if there are any, the indices of the tiles with loss (u16 each) and, to the frame's end, a JPEG file
/// that shows them one below the other (<see cref="JpegStrip"/>). Little endian. One buffer, used again and again.
/// </summary>
internal sealed class FrameWriter
{
    private const int HeaderBytes = 16;
    private const int TileHeaderBytes = 4;

    private readonly JpegStrip _strip = new();
    private readonly ushort[] _stripTiles = new ushort[JpegStrip.MostTiles];
    private byte[] _frame = new byte[64 * 1024];
    private int _length;
    private int _exact;

    /// <summary>Tiles of both kinds.</summary>
    public int Tiles => _exact + _strip.Tiles;

    /// <summary>Bytes of the frame as it is now.</summary>
    public int Length => _length + (_strip.Tiles * sizeof(ushort)) + _strip.Length;

    /// <summary>No tile with loss can be added any more.</summary>
    public bool IsFull => _strip.Tiles == JpegStrip.MostTiles;

    /// <summary>The frame, when it is finished.</summary>
    public ReadOnlySpan<byte> Written => _frame.AsSpan(0, _length);

    public void Begin()
    {
        _length = HeaderBytes;
        _exact = 0;
        _strip.Clear();
    }

    public void Add(int tile, ReadOnlySpan<byte> data)
    {
        Reserve(TileHeaderBytes + data.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(_length), (ushort)tile);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(_length + 2), (ushort)data.Length);
        data.CopyTo(_frame.AsSpan(_length + TileHeaderBytes));
        _length += TileHeaderBytes + data.Length;
        _exact++;
    }

    /// <param name="scan">As <see cref="JpegTileEncoder"/> made it; the frame is not full.</param>
    public void AddLossy(int tile, ReadOnlySpan<byte> scan)
    {
        _stripTiles[_strip.Tiles] = (ushort)tile;
        _strip.Add(scan);
    }

    /// <param name="latency">Milliseconds.</param>
    public void Finish(uint number, int width, int height, int latency)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_frame, number);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(4), (ushort)width);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(6), (ushort)height);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(8), TileEncoder.TileSize);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(10), (ushort)latency);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(12), (ushort)_exact);
        BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(14), (ushort)_strip.Tiles);
        if (_strip.Tiles > 0)
        {
            AppendStrip();
        }
    }

    private void AppendStrip()
    {
        var file = _strip.Finish();
        Reserve((_strip.Tiles * sizeof(ushort)) + file.Length);
        foreach (ushort tile in _stripTiles.AsSpan(0, _strip.Tiles))
        {
            BinaryPrimitives.WriteUInt16LittleEndian(_frame.AsSpan(_length), tile);
            _length += sizeof(ushort);
        }

        file.CopyTo(_frame.AsSpan(_length));
        _length += file.Length;
    }

    private void Reserve(int more)
    {
        if (_length + more > _frame.Length)
        {
            Array.Resize(ref _frame, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(_length + more)));
        }
    }
}
