using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

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
/// Encodes square tiles of 32-bit pixels without loss, in the smallest of four ways that their content allows. Colours are 0x00RRGGBB,
/// little endian, as in the guest's framebuffer. One instance a thread; no allocation.
/// </summary>
internal sealed class TileEncoder
{
    /// <summary>Pixels along a tile's side.</summary>
    public const int TileSize = 64;

    private const int TilePixels = TileSize * TileSize;
    private const int LargestPalette = 16;

    private readonly uint[] _pixels = new uint[TilePixels];
    private readonly byte[] _packed = new byte[(TilePixels / 2) + sizeof(uint)];
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
        for (int y = 0; y < height; y++)
        {
            pixels.Slice(y * stride, width).CopyTo(_pixels.AsSpan(y * width, width));
        }

        ReadOnlySpan<uint> rest = _pixels.AsSpan(0, width * height);
        palette[0] = rest[0];
        int colours = 1;
        for (int other; (other = rest.IndexOfAnyExcept(palette[..colours])) >= 0; rest = rest[other..])
        {
            if (colours == LargestPalette)
            {
                return 0;
            }

            palette[colours++] = rest[other];
        }

        return colours;
    }

    private ReadOnlySpan<byte> EncodePalette(ReadOnlySpan<uint> tile, scoped ReadOnlySpan<uint> palette)
    {
        int bits = palette.Length <= 2 ? 1 : palette.Length <= 4 ? 2 : 4;
        int packedLength = Pack(tile, palette, bits);
        _output[0] = (byte)TileEncoding.Palette;
        _output[1] = (byte)palette.Length;
        int at = 2;
        foreach (uint colour in palette)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_output.AsSpan(at), colour);
            at += 4;
        }

        return _output.AsSpan(0, at + Lz4Block.Compress(_packed.AsSpan(0, packedLength), _output.AsSpan(at), _table));
    }

    /// <summary>Writes each pixel's place in the palette, the first in the lowest bits.</summary>
    /// <returns>Bytes written.</returns>
    private int Pack(ReadOnlySpan<uint> tile, scoped ReadOnlySpan<uint> palette, int bits)
    {
        var weights = Vector256.Create(
            1u, 1u << bits, 1u << (2 * bits), 1u << (3 * bits), 1u << (4 * bits), 1u << (5 * bits), 1u << (6 * bits), 1u << (7 * bits));
        Span<uint> last = stackalloc uint[Vector256<uint>.Count];
        int at = 0;
        for (int i = 0; i < tile.Length; i += Vector256<uint>.Count, at += bits)
        {
            // A tile at the edge need not be a multiple of eight pixels; behind its end nobody looks.
            if (tile.Length - i < last.Length)
            {
                tile[i..].CopyTo(last);
            }

            var pixels = Vector256.Create(tile.Length - i < last.Length ? last : tile[i..]);
            var places = Vector256<uint>.Zero;
            for (int place = 1; place < palette.Length; place++)
            {
                places |= Vector256.Equals(pixels, Vector256.Create(palette[place])) & Vector256.Create((uint)place);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(_packed.AsSpan(at), Vector256.Sum(places * weights));
        }

        return ((tile.Length * bits) + 7) / 8;
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
