using WebVm.Api.Console.Display.Jpeg;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class JpegTests
{
    private const int Side = 64;

    private readonly JpegTileEncoder _encoder = new();

    [Fact]
    public void A_photograph_comes_back_nearly_as_it_was()
    {
        var picture = new Photograph(Side, Side);
        uint[] decoded = Decode(picture.Pixels, Side, Side, Side, out int bytes);
        // Peak signal to noise: 30 dB is fair, 40 dB is hard to tell from the original.
        Assert.InRange(Noise(picture.Pixels, decoded), 34, 60);
        Assert.InRange(bytes, 100, Side * Side * 4 / 8);
    }

    [Theory]
    [InlineData(0x000000u)]
    [InlineData(0xffffffu)]
    [InlineData(0xff0000u)]
    [InlineData(0x00ff00u)]
    [InlineData(0x0000ffu)]
    [InlineData(0x336699u)]
    public void One_colour_stays_that_colour(uint colour)
    {
        uint[] pixels = new uint[Side * Side];
        Array.Fill(pixels, colour);
        Assert.All(Decode(pixels, Side, Side, Side, out _), decoded => Assert.InRange(Farthest(colour, decoded), 0, 4));
    }

    [Fact]
    public void Every_detail_is_where_it_was()
    {
        // Blocks of light of different levels, in every place of the tile.
        uint[] pixels = [.. Enumerable.Range(0, Side * Side).Select(i => (uint)(((i % Side / 8) + (i / Side / 8 * 8)) * 4) * 0x010101)];
        uint[] decoded = Decode(pixels, Side, Side, Side, out _);
        Assert.All(Enumerable.Range(0, pixels.Length), i => Assert.InRange(Farthest(pixels[i], decoded[i]), 0, 4));
    }

    [Fact]
    public void The_hardest_content_is_valid_too()
    {
        var random = new Random(1);
        for (int round = 0; round < 20; round++)
        {
            // Noise, and black and white, one pixel wide: the largest coefficients there are, and all of them.
            uint[] pixels = [.. Enumerable.Range(0, Side * Side)
                .Select(_ => round % 2 == 0 ? (uint)random.Next(1 << 24) : random.Next(2) == 0 ? 0 : 0xffffffu)];
            Assert.InRange(Noise(pixels, Decode(pixels, Side, Side, Side, out _)), 5, 60);
        }
    }

    [Fact]
    public void A_tile_at_the_edge_is_continued_by_its_last_pixels()
    {
        var picture = new Photograph(100, 100);
        for (int width = 1; width <= Side; width += 9)
        {
            int height = Side + 1 - width;
            uint[] decoded = Decode(picture.Pixels, 100, width, height, out _);
            uint[] continued = [.. Enumerable.Range(0, Side * Side)
                .Select(i => picture.Pixels[(Math.Min(i / Side, height - 1) * 100) + Math.Min(i % Side, width - 1)])];
            Assert.InRange(Noise(continued, decoded), 32, 70);
        }
    }

    [Fact]
    public void Tiles_become_one_picture()
    {
        // More than eight: the numbers of restart markers begin anew.
        uint[][] tiles = [.. Enumerable.Range(0, 20).Select(seed => new Photograph(Side, Side, seed).Pixels)];
        var strip = new JpegStrip();
        strip.Clear();
        foreach (uint[] tile in tiles)
        {
            strip.Add(_encoder.Encode(tile, Side, Side, Side));
        }

        int length = strip.Length;
        var file = strip.Finish();
        Assert.Equal(length, file.Length);
        var (width, height, pixels) = TextbookJpeg.Decode(file);
        Assert.Equal((Side, Side * tiles.Length), (width, height));
        for (int i = 0; i < tiles.Length; i++)
        {
            Assert.InRange(Noise(tiles[i], pixels.AsSpan(i * Side * Side, Side * Side)), 34, 60);
        }
    }

    [Fact]
    public void A_strip_takes_no_more_tiles_than_a_picture_has_lines()
    {
        var strip = new JpegStrip();
        strip.Clear();
        for (int i = 0; i < JpegStrip.MostTiles; i++)
        {
            strip.Add([]);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => strip.Add([]));
    }

    [Fact]
    public void Encoding_allocates_nothing()
    {
        var picture = new Photograph(Side, Side);
        var strip = new JpegStrip();
        Run();
        Allocations.UntilNone(Run);

        void Run()
        {
            strip.Clear();
            for (int i = 0; i < 50; i++)
            {
                strip.Add(_encoder.Encode(picture.Pixels, Side, Side, Side));
            }

            strip.Finish();
        }
    }

    private uint[] Decode(uint[] pixels, int stride, int width, int height, out int bytes)
    {
        var strip = new JpegStrip();
        strip.Clear();
        var scan = _encoder.Encode(pixels, stride, width, height);
        bytes = scan.Length;
        strip.Add(scan);
        return TextbookJpeg.Decode(strip.Finish()).Pixels;
    }

    private static int Farthest(uint one, uint other) =>
        Enumerable.Range(0, 3).Max(i => Math.Abs((int)((one >> (8 * i)) & 0xff) - (int)((other >> (8 * i)) & 0xff)));

    /// <summary>Peak signal to noise ratio in decibels.</summary>
    private static double Noise(ReadOnlySpan<uint> one, ReadOnlySpan<uint> other)
    {
        double squares = 0;
        for (int i = 0; i < one.Length; i++)
        {
            for (int shift = 0; shift < 24; shift += 8)
            {
                double difference = (double)((one[i] >> shift) & 0xff) - ((other[i] >> shift) & 0xff);
                squares += difference * difference;
            }
        }

        return 10 * Math.Log10(255 * 255 / Math.Max(squares / (3 * one.Length), 1e-3));
    }
}
