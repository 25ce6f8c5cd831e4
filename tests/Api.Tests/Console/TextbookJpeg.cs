using System.Buffers.Binary;

namespace WebVm.Api.Tests.Console;

/// <summary>
/// Decodes a baseline JPEG file step by step as T.81 describes it, by the formulas and with the tables that the file has: it shares nothing
/// with the encoder. It takes what the encoder is to write alone: three components, the first of them at twice the resolution, and restart
/// markers.
/// </summary>
internal static class TextbookJpeg
{
    private static readonly int[] s_zigZag = ZigZag();

    /// <exception cref="InvalidDataException">It is no such file.</exception>
    public static (int Width, int Height, uint[] Pixels) Decode(ReadOnlySpan<byte> file)
    {
        int[][] steps = new int[4][];
        var codes = new Dictionary<(int Length, int Code), byte>[32];
        (int width, int height, int interval) = (0, 0, 0);
        Check(BinaryPrimitives.ReadUInt16BigEndian(file) == 0xffd8, "no start of image");
        for (int at = 2; ;)
        {
            int marker = BinaryPrimitives.ReadUInt16BigEndian(file[at..]);
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            var content = file.Slice(at + 4, length - 2);
            at += 2 + length;
            switch (marker)
            {
                case 0xffe0:
                    Check(content.StartsWith("JFIF\0"u8), "no JFIF");
                    break;
                case 0xffdb:
                    for (; !content.IsEmpty; content = content[65..])
                    {
                        steps[content[0]] = [.. content[1..65].ToArray().Select(step => (int)step)];
                        Check(!steps[content[0]].Contains(0), "a step is zero");
                    }

                    break;
                case 0xffc4:
                    while (!content.IsEmpty)
                    {
                        (codes[content[0]], int taken) = Codes(content[1..]);
                        content = content[(1 + taken)..];
                    }

                    break;
                case 0xffc0:
                    (height, width) = (BinaryPrimitives.ReadUInt16BigEndian(
                        content[1..]), BinaryPrimitives.ReadUInt16BigEndian(content[3..]));
                    Check(content[0] == 8
                        && content[5..].SequenceEqual((ReadOnlySpan<byte>)[3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]), "another frame");
                    break;
                case 0xffdd:
                    interval = BinaryPrimitives.ReadUInt16BigEndian(content);
                    break;
                case 0xffda:
                    Check(content.SequenceEqual((ReadOnlySpan<byte>)[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]), "another scan");
                    return (width, height, Scan(file[at..], width, height, interval, steps, codes));
                default:
                    throw new InvalidDataException($"marker {marker:x}");
            }
        }
    }

    /// <summary>T.81 annex C.</summary>
    private static (Dictionary<(int Length, int Code), byte> Codes, int Taken) Codes(ReadOnlySpan<byte> table)
    {
        var codes = new Dictionary<(int, int), byte>();
        int code = 0;
        int next = 16;
        for (int length = 1; length <= 16; length++, code *= 2)
        {
            for (int i = 0; i < table[length - 1]; i++)
            {
                codes.Add((length, code++), table[next++]);
            }

            // The code of ones alone is not used.
            Check(code < 1 << length, "too many codes");
        }

        return (codes, next);
    }

    private static uint[] Scan(
        ReadOnlySpan<byte> data, int width, int height, int interval, int[][] steps, Dictionary<(int Length, int Code), byte>[] codes)
    {
        uint[] pixels = new uint[width * height];
        double[][,] planes = [new double[height, width], new double[height / 2, width / 2], new double[height / 2, width / 2]];
        int[] before = new int[3];
        var bits = new Bits(data);
        int units = width / 16 * (height / 16);
        for (int unit = 0; unit < units; unit++)
        {
            if (unit > 0 && unit % interval == 0)
            {
                bits.Restart(((unit / interval) - 1) % 8);
                Array.Clear(before);
            }

            int left = unit % (width / 16) * 16;
            int top = unit / (width / 16) * 16;
            for (int i = 0; i < 4; i++)
            {
                Block(ref bits, planes[0], left + (i % 2 * 8), top + (i / 2 * 8), steps[0], codes[0x00], codes[0x10], ref before[0]);
            }

            Block(ref bits, planes[1], left / 2, top / 2, steps[1], codes[0x01], codes[0x11], ref before[1]);
            Block(ref bits, planes[2], left / 2, top / 2, steps[1], codes[0x01], codes[0x11], ref before[2]);
        }

        bits.End();
        for (int i = 0; i < pixels.Length; i++)
        {
            (int x, int y) = (i % width, i / width);
            double luminance = planes[0][y, x] + 128;
            double blue = planes[1][y / 2, x / 2];
            double red = planes[2][y / 2, x / 2];
            pixels[i] = (Level(luminance + (1.402 * red)) << 16) | (Level(luminance - (0.344136 * blue) - (0.714136 * red)) << 8)
                | Level(luminance + (1.772 * blue));
        }

        return pixels;
    }

    private static void Block(
        ref Bits bits, double[,] plane, int left, int top, int[] steps, Dictionary<(int, int), byte> first,
        Dictionary<(int, int), byte> others, ref int before)
    {
        int[] block = new int[64];
        before += bits.Value(bits.Symbol(first));
        block[0] = before * steps[0];
        for (int k = 1; k < 64; k++)
        {
            int symbol = bits.Symbol(others);
            if (symbol == 0)
            {
                break;
            }

            k += symbol >> 4;
            Check(k < 64, "a run beyond the block");
            block[s_zigZag[k]] = bits.Value(symbol & 15) * steps[k];
        }

        // T.81 A.3.3.
        for (int y = 0; y < 8; y++)
        {
            for (int x = 0; x < 8; x++)
            {
                double sum = 0;
                for (int i = 0; i < 64; i++)
                {
                    if (block[i] != 0)
                    {
                        sum += block[i] * Cosine(i % 8, x) * Cosine(i / 8, y);
                    }
                }

                plane[top + y, left + x] = sum / 4;
            }
        }
    }

    private static double Cosine(int frequency, int place) =>
        (frequency == 0 ? Math.Sqrt(0.5) : 1) * Math.Cos(((2 * place) + 1) * frequency * Math.PI / 16);

    private static uint Level(double value) => (uint)Math.Clamp(Math.Round(value), 0, 255);

    /// <summary>Figure A.6: along the diagonals, up and down in turn.</summary>
    private static int[] ZigZag() =>
        [.. Enumerable.Range(0, 64).OrderBy(i => (i % 8) + (i / 8)).ThenBy(i => ((i % 8) + (i / 8)) % 2 == 0 ? i % 8 : i / 8)];

    private static void Check(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidDataException(otherwise);
        }
    }

    private ref struct Bits(ReadOnlySpan<byte> data)
    {
        private ReadOnlySpan<byte> _data = data;
        private int _used;

        public int Symbol(Dictionary<(int, int), byte> codes)
        {
            int code = 0;
            for (int length = 1; length <= 16; length++)
            {
                code = (code << 1) | Next();
                if (codes.TryGetValue((length, code), out byte symbol))
                {
                    return symbol;
                }
            }

            throw new InvalidDataException("no such code");
        }

        /// <summary>F.2.2.1: the lower half of a size's values are negative.</summary>
        public int Value(int size)
        {
            int value = 0;
            for (int i = 0; i < size; i++)
            {
                value = (value << 1) | Next();
            }

            return size > 0 && value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
        }

        public void Restart(int number)
        {
            Fill();
            Check(BinaryPrimitives.ReadUInt16BigEndian(_data) == 0xffd0 + number, "no restart marker");
            _data = _data[2..];
        }

        public void End()
        {
            Fill();
            Check(_data.SequenceEqual((ReadOnlySpan<byte>)[0xff, 0xd9]), "no end of image");
        }

        private void Fill()
        {
            while (_used > 0)
            {
                Check(Next() == 1, "the last byte is not filled with ones");
            }
        }

        private int Next()
        {
            int bit = (_data[0] >> (7 - _used)) & 1;
            _used = (_used + 1) % 8;
            if (_used == 0)
            {
                Check(_data[0] != 0xff || _data[1] == 0, "a marker within the data");
                _data = _data[(_data[0] == 0xff ? 2 : 1)..];
            }

            return bit;
        }
    }
}
