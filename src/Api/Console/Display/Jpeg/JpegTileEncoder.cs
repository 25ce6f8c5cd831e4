using System.Runtime.Intrinsics;

namespace WebVm.Api.Console.Display.Jpeg;

/// <summary>
/// Encodes tiles as baseline JPEG (T.81, sequential DCT of 8 bits), each as a restart interval of its own: what one tile becomes depends on
/// no other, so it is encoded once for all viewers, and tiles are put together to a picture as they are needed (<see cref="JpegStrip"/>).
/// Colours have half the resolution (4:2:0): only photographs are encoded this way, in which it is not seen, and it halves the work and
/// saves a quarter of the bytes. What suffers, coloured text on a photograph, is sharp again when the tile comes without loss. One instance
/// a thread; no allocation.
/// </summary>
internal sealed class JpegTileEncoder
{
    private const int Side = TileEncoder.TileSize;
    private const int HalfSide = Side / 2;
    private const int BlockSide = 8;
    private const int UnitSide = 16;
    private const int Blocks = (Side * Side / JpegTables.BlockSize) + (2 * HalfSide * HalfSide / JpegTables.BlockSize);

    private static readonly ForwardDct s_luminance = new(JpegTables.LuminanceSteps);
    private static readonly ForwardDct s_chrominance = new(JpegTables.ChrominanceSteps);

    private readonly uint[] _pixels = new uint[Side * Side];
    private readonly float[] _y = new float[Side * Side];
    private readonly float[] _cb = new float[HalfSide * HalfSide];
    private readonly float[] _cr = new float[HalfSide * HalfSide];
    private readonly byte[] _output = new byte[(Blocks * ScanWriter.LargestBlock) + sizeof(ulong)];

    /// <summary>Encodes the tile at the top left of <paramref name="pixels"/> (0x00RRGGBB).</summary>
    /// <param name="stride">Pixels from one line to the next.</param>
    /// <param name="width">1 to 64; narrower tiles are continued by their last column.</param>
    /// <param name="height">1 to 64.</param>
    /// <returns>Entropy-coded data without markers, valid until the next call.</returns>
    public ReadOnlySpan<byte> Encode(ReadOnlySpan<uint> pixels, int stride, int width, int height)
    {
        Gather(pixels, stride, width, height);
        Separate();
        var writer = new ScanWriter(_output);
        Span<int> block = stackalloc int[JpegTables.BlockSize];
        int y = 0;
        int cb = 0;
        int cr = 0;

        // T.81 A.2.3: a unit is four blocks of luminance and one of each colour.
        for (int top = 0; top < Side; top += UnitSide)
        {
            for (int left = 0; left < Side; left += UnitSide)
            {
                for (int at = 0; at < 4; at++)
                {
                    int first = ((top + (at / 2 * BlockSide)) * Side) + left + (at % 2 * BlockSide);
                    s_luminance.Transform(_y.AsSpan(first), Side, block);
                    writer.WriteBlock(block, y, JpegTables.LuminanceDc, JpegTables.LuminanceAc);
                    y = block[0];
                }

                int half = (top / 2 * HalfSide) + (left / 2);
                s_chrominance.Transform(_cb.AsSpan(half), HalfSide, block);
                writer.WriteBlock(block, cb, JpegTables.ChrominanceDc, JpegTables.ChrominanceAc);
                cb = block[0];
                s_chrominance.Transform(_cr.AsSpan(half), HalfSide, block);
                writer.WriteBlock(block, cr, JpegTables.ChrominanceDc, JpegTables.ChrominanceAc);
                cr = block[0];
            }
        }

        return _output.AsSpan(0, writer.End());
    }

    private void Gather(ReadOnlySpan<uint> pixels, int stride, int width, int height)
    {
        for (int y = 0; y < Side; y++)
        {
            var line = pixels.Slice(Math.Min(y, height - 1) * stride, width);
            line.CopyTo(_pixels.AsSpan(y * Side));
            _pixels.AsSpan((y * Side) + width, Side - width).Fill(line[^1]);
        }
    }

    /// <summary>Luminance of each pixel less 128, and of each four the mean of their colour differences (T.871, section 7).</summary>
    private void Separate()
    {
        Span<float> blue = stackalloc float[Side];
        Span<float> red = stackalloc float[Side];
        for (int y = 0; y < Side; y++)
        {
            for (int x = 0; x < Side; x += Vector256<uint>.Count)
            {
                int at = (y * Side) + x;
                var pixels = Vector256.Create(_pixels, at).AsInt32();
                var r = Vector256.ConvertToSingle(pixels >> 16 & Vector256.Create(0xff));
                var g = Vector256.ConvertToSingle(pixels >> 8 & Vector256.Create(0xff));
                var b = Vector256.ConvertToSingle(pixels & Vector256.Create(0xff));
                var luminance = (r * 0.299f) + (g * 0.587f) + (b * 0.114f);
                (luminance - Vector256.Create(128f)).CopyTo(_y, at);
                // 1.772 and 1.402 are twice what is left to 1 of blue and red; a quarter is for the mean of four.
                AddTo(blue[x..], (b - luminance) * (0.25f / 1.772f), y);
                AddTo(red[x..], (r - luminance) * (0.25f / 1.402f), y);
            }

            if (y % 2 == 1)
            {
                for (int x = 0, at = y / 2 * HalfSide; x < HalfSide; x++, at++)
                {
                    _cb[at] = blue[2 * x] + blue[(2 * x) + 1];
                    _cr[at] = red[2 * x] + red[(2 * x) + 1];
                }
            }
        }

        static void AddTo(Span<float> sums, Vector256<float> values, int y) =>
            (y % 2 == 0 ? values : values + Vector256.Create<float>(sums)).CopyTo(sums);
    }
}
