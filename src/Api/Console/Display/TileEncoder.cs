using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace WebVm.Api.Console.Display;

/// <summary>How a tile's pixels are written; the first byte of its data.</summary>
internal enum TileEncoding : byte
{
    /// <summary>One colour, four bytes.</summary>
    Solid = 0,

    /// <summary>Number of colours (2 to 16), the colours, then 1, 2 or 4 bits a pixel, compressed as an LZ4 block.</summary>
    Palette = 1,

    /// <summary>32 bits a pixel, compressed as an LZ4 block.</summary>
    Compressed = 2,

    /// <summary>32 bits a pixel.</summary>
    Raw = 3,
}

/// <summary>
/// Encodes square tiles of 32-bit pixels without loss, in the smallest of four ways that their content allows. Colours are 0x00RRGGBB, little
/// endian, as in the guest's framebuffer. One instance a thread; no allocation.
/// </summary>
internal sealed class TileEncoder
{
    /// <summary>Pixels along a tile's side.</summary>
    public const int TileSize = 64;

    private const int TilePixels = TileSize * TileSize;
    private const int LargestPalette = 16;
    private const uint ColourMask = 0x00ff_ffff;

    private readonly uint[] _pixels = new uint[TilePixels];
    private readonly byte[] _packed = new byte[TilePixels / 2];
    private readonly int[] _table = new int[4096];
    private readonly byte[] _output = new byte[Lz4Block.LargestOutput(TilePixels * 4) + 128];

    /// <summary>Encodes the tile at the top left of <paramref name="pixels"/>.</summary>
    /// <param name="pixels">The framebuffer from the tile's first pixel on.</param>
    /// <param name="stride">Pixels from one line to the next.</param>
    /// <param name="width">1 to 64; tiles at the right edge may be narrower.</param>
    /// <param name="height">1 to 64.</param>
    /// <returns>Valid until the next call.</returns>
    public ReadOnlySpan<byte> Encode(ReadOnlySpan<uint> pixels, int stride, int width, int height)
    {
        Span<uint> palette = stackalloc uint[LargestPalette];
        int colours = Gather(pixels, stride, width, height, palette);
        var tile = _pixels.AsSpan(0, width * height);
        if (colours == 1)
        {
            _output[0] = (byte)TileEncoding.Solid;
            BinaryPrimitives.WriteUInt32LittleEndian(_output.AsSpan(1), palette[0]);
            return _output.AsSpan(0, 5);
        }

        return colours > 0 ? EncodePalette(tile, palette[..colours]) : EncodeTrueColour(tile);
    }

    /// <summary>Copies the tile together and collects its colours.</summary>
    /// <returns>Number of colours, or 0 when there are more than 16.</returns>
    private int Gather(ReadOnlySpan<uint> pixels, int stride, int width, int height, Span<uint> palette)
    {
        int colours = 0;
        uint last = ~0u;
        for (int y = 0; y < height; y++)
        {
            var line = pixels.Slice(y * stride, width);
            var target = _pixels.AsSpan(y * width, width);
            for (int x = 0; x < width; x++)
            {
                uint colour = line[x] & ColourMask;
                target[x] = colour;
                if (colour == last || colours < 0)
                {
                    continue;
                }

                last = colour;
                if (!palette[..colours].Contains(colour))
                {
                    if (colours == LargestPalette)
                    {
                        colours = -1;
                        continue;
                    }

                    palette[colours++] = colour;
                }
            }
        }

        return Math.Max(colours, 0);
    }

    private ReadOnlySpan<byte> EncodePalette(ReadOnlySpan<uint> tile, scoped ReadOnlySpan<uint> palette)
    {
        int bits = palette.Length <= 2 ? 1 : palette.Length <= 4 ? 2 : 4;
        int perByte = 8 / bits;
        int packedLength = (tile.Length + perByte - 1) / perByte;
        var packed = _packed.AsSpan(0, packedLength);
        packed.Clear();
        uint last = palette[0];
        int index = 0;
        for (int i = 0; i < tile.Length; i++)
        {
            if (tile[i] != last)
            {
                last = tile[i];
                index = palette.IndexOf(last);
            }

            packed[i / perByte] |= (byte)(index << (i % perByte * bits));
        }

        _output[0] = (byte)TileEncoding.Palette;
        _output[1] = (byte)palette.Length;
        int at = 2;
        foreach (uint colour in palette)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_output.AsSpan(at), colour);
            at += 4;
        }

        return _output.AsSpan(0, at + Lz4Block.Compress(packed, _output.AsSpan(at), _table));
    }

    private ReadOnlySpan<byte> EncodeTrueColour(ReadOnlySpan<uint> tile)
    {
        var bytes = MemoryMarshal.AsBytes(tile);
        _output[0] = (byte)TileEncoding.Compressed;
        int length = Lz4Block.Compress(bytes, _output.AsSpan(1), _table);
        if (length < bytes.Length)
        {
            return _output.AsSpan(0, 1 + length);
        }

        _output[0] = (byte)TileEncoding.Raw;
        bytes.CopyTo(_output.AsSpan(1));
        return _output.AsSpan(0, 1 + bytes.Length);
    }
}
