using System.Buffers.Binary;

namespace WebVm.Api.Console.Display.Jpeg;

/// <summary>
/// A JPEG file (T.81 annex B, with T.871's header) whose picture is tiles one below the other. Each tile is a restart interval; so tiles
/// that were encoded one by one become one picture by markers between them, with one set of tables, and the browser decodes it in one go.
/// </summary>
internal sealed class JpegStrip
{
    /// <summary>A picture has 65,535 lines at most.</summary>
    public const int MostTiles = ushort.MaxValue / TileEncoder.TileSize;

    /// <summary>Bytes of everything but the tiles and the markers between them.</summary>
    public static int FixedBytes => s_header.Bytes.Length + MarkerBytes;

    private const int MarkerBytes = 2;
    private const byte StartOfImage = 0xd8;
    private const byte EndOfImage = 0xd9;
    private const byte Application0 = 0xe0;
    private const byte QuantizationTables = 0xdb;
    private const byte BaselineFrame = 0xc0;
    private const byte HuffmanTables = 0xc4;
    private const byte RestartInterval = 0xdd;
    private const byte StartOfScan = 0xda;
    private const byte Restart0 = 0xd0;
    private const int UnitsOfTile = TileEncoder.TileSize / 16 * (TileEncoder.TileSize / 16);

    private static readonly (byte[] Bytes, int HeightAt) s_header = Header();

    private byte[] _bytes = new byte[16 * 1024];
    private int _length;

    public int Tiles { get; private set; }

    /// <summary>Bytes of the file as it is now; 0 without tiles.</summary>
    public int Length => Tiles == 0 ? 0 : _length + MarkerBytes;

    public void Clear()
    {
        Tiles = 0;
        s_header.Bytes.CopyTo(_bytes, 0);
        _length = s_header.Bytes.Length;
    }

    /// <param name="scan">A tile as <see cref="JpegTileEncoder"/> made it; the strip has less than <see cref="MostTiles"/>.</param>
    public void Add(ReadOnlySpan<byte> scan)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(Tiles, MostTiles);
        int most = _length + (2 * MarkerBytes) + scan.Length;
        if (most > _bytes.Length)
        {
            Array.Resize(ref _bytes, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)most));
        }

        if (Tiles > 0)
        {
            // B.2.1: numbered modulo 8.
            WriteMarker((byte)(Restart0 + ((Tiles - 1) & 7)));
        }

        scan.CopyTo(_bytes.AsSpan(_length));
        _length += scan.Length;
        Tiles++;
    }

    /// <summary>The file. There is at least one tile.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        BinaryPrimitives.WriteUInt16BigEndian(_bytes.AsSpan(s_header.HeightAt), (ushort)(Tiles * TileEncoder.TileSize));
        _bytes[_length] = 0xff;
        _bytes[_length + 1] = EndOfImage;
        return _bytes.AsSpan(0, _length + MarkerBytes);
    }

    private void WriteMarker(byte code)
    {
        _bytes[_length++] = 0xff;
        _bytes[_length++] = code;
    }

    private static (byte[] Bytes, int HeightAt) Header()
    {
        List<byte> header = [0xff, StartOfImage];

        // T.871, 10.1: JFIF 1.2, square pixels, no thumbnail. It says that colours are YCbCr.
        Segment(Application0, [.. "JFIF\0"u8, 1, 2, 0, 0, 1, 0, 1, 0, 0]);
        Segment(QuantizationTables, [0, .. InZigZag(JpegTables.LuminanceSteps), 1, .. InZigZag(JpegTables.ChrominanceSteps)]);

        // B.2.2: 8 bits, height, width, three components: number, blocks of it in a unit across and down, quantization table.
        int heightAt = header.Count + 5;
        Segment(BaselineFrame, [8, 0, 0, 0, TileEncoder.TileSize, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);

        // B.2.4.2: class (0 for first coefficients, 1 for all others) and number.
        Segment(HuffmanTables,
        [
            0x00, .. JpegTables.LuminanceDc.Counts, .. JpegTables.LuminanceDc.Symbols, 0x10, .. JpegTables.LuminanceAc.Counts,
            .. JpegTables.LuminanceAc.Symbols,
            0x01, .. JpegTables.ChrominanceDc.Counts, .. JpegTables.ChrominanceDc.Symbols, 0x11, .. JpegTables.ChrominanceAc.Counts,
            .. JpegTables.ChrominanceAc.Symbols,
        ]);
        Segment(RestartInterval, [0, UnitsOfTile]);

        // B.2.3: components with their tables, then the whole spectrum at once.
        Segment(StartOfScan, [3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        return ([.. header], heightAt);

        void Segment(byte code, ReadOnlySpan<byte> content) =>
            header.AddRange([0xff, code, (byte)((content.Length + 2) >> 8), (byte)(content.Length + 2), .. content]);

        static byte[] InZigZag(byte[] steps)
        {
            byte[] ordered = new byte[JpegTables.BlockSize];
            for (int i = 0; i < ordered.Length; i++)
            {
                ordered[i] = steps[JpegTables.ZigZag[i]];
            }

            return ordered;
        }
    }
}
