using System.Buffers.Binary;
using WebVm.Api.Console.Display;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class TileTests
{
    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(4, 1)]
    [InlineData(16, 1)]
    [InlineData(17, 2)]
    public void A_tile_comes_back_as_it_was(int colours, int encoding)
    {
        var random = new Random(colours);
        uint[] palette = [.. Enumerable.Range(0, colours).Select(_ => (uint)random.Next(1 << 24))];
        uint[] screen = [.. Enumerable.Range(0, 100 * 80).Select(i => palette[i / 7 % colours])];
        var data = new TileEncoder().Encode(screen, 100, 64, 64);
        Assert.Equal(encoding, data[0]);
        AssertSame(screen, 100, 64, 64, Decode(data, 64 * 64));
    }

    [Fact]
    public void Noise_is_sent_raw()
    {
        var random = new Random(1);
        uint[] screen = [.. Enumerable.Range(0, 64 * 64).Select(_ => (uint)random.Next(1 << 24))];
        var data = new TileEncoder().Encode(screen, 64, 64, 64);
        Assert.Equal(3, data[0]);
        AssertSame(screen, 64, 64, 64, Decode(data, 64 * 64));
    }

    [Fact]
    public void Random_tiles_of_every_size_come_back()
    {
        var random = new Random(2);
        var encoder = new TileEncoder();
        for (int round = 0; round < 500; round++)
        {
            int width = random.Next(1, 65);
            int height = random.Next(1, 65);
            int colours = random.Next(1, 40);
            int run = random.Next(1, 50);
            uint[] palette = [.. Enumerable.Range(0, colours).Select(_ => (uint)random.Next(1 << 24))];
            uint[] screen = [.. Enumerable.Range(0, 70 * 64).Select(i => palette[(i / run * 31) % colours])];
            AssertSame(screen, 70, width, height, Decode(encoder.Encode(screen, 70, width, height), width * height));
        }
    }

    [Fact]
    public void Only_tiles_that_changed_are_encoded_again()
    {
        var screen = new FakeScreen(200, 100);
        var grid = new TileGrid(200, 100);
        Assert.Equal(grid.Count, grid.Update(screen, 1));
        Assert.Equal(0, grid.Update(screen, 2));
        screen.Pixels[(70 * 200) + 130] = 5;
        Assert.Equal(1, grid.Update(screen, 3));
        Assert.Equal(3, grid.ChangedIn((1 * grid.Columns) + 2));
        Assert.Equal(1, grid.ChangedIn(0));
    }

    [Fact]
    public void A_new_grid_reads_all_of_a_screen_that_does_not_change()
    {
        var screen = new FakeScreen(200, 100) { Still = true };
        screen.Fill(7);
        var grid = new TileGrid(200, 100);
        Assert.Equal(grid.Count, grid.Update(screen, 1));
        Assert.NotEqual(0, grid.Encoded(0)[0]);
        screen.Pixels[0] ^= 1;
        Assert.Equal(0, grid.Update(screen, 2));
    }

    [Fact]
    public void Encoding_allocates_nothing()
    {
        var screen = new FakeScreen(640, 480);
        var grid = new TileGrid(640, 480);
        grid.Update(screen, 1);
        screen.Fill(7);
        grid.Update(screen, 2);
        int last = 2;
        Allocations.UntilNone(() =>
        {
            for (int end = last + 50; last < end;)
            {
                screen.Fill(++last % 2);
                grid.Update(screen, last);
            }
        });
    }

    private static void AssertSame(uint[] screen, int stride, int width, int height, uint[] decoded)
    {
        for (int y = 0; y < height; y++)
        {
            Assert.Equal(screen.AsSpan(y * stride, width).ToArray(), decoded.AsSpan(y * width, width).ToArray());
        }
    }

    /// <summary>What Scripts/display/screen.ts does.</summary>
    private static uint[] Decode(ReadOnlySpan<byte> data, int pixels)
    {
        uint[] result = new uint[pixels];
        switch (data[0])
        {
            case 0:
                Array.Fill(result, BinaryPrimitives.ReadUInt32LittleEndian(data[1..]));
                break;
            case 1:
                int colours = data[1];
                int bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
                byte[] packed = Unpack(data[(2 + (4 * colours))..], pixels);
                for (int i = 0; i < pixels; i++)
                {
                    int index = (packed[i / (8 / bits)] >> (i % (8 / bits) * bits)) & ((1 << bits) - 1);
                    result[i] = BinaryPrimitives.ReadUInt32LittleEndian(data[(2 + (4 * index))..]);
                }

                break;
            default:
                byte[] bytes = data[0] == 2 ? Unpack(data[1..], pixels * 4) : data[1..].ToArray();
                Buffer.BlockCopy(bytes, 0, result, 0, pixels * 4);
                break;
        }

        return result;
    }

    /// <summary>The block format's own description, step by step.</summary>
    private static byte[] Unpack(ReadOnlySpan<byte> block, int most)
    {
        byte[] output = new byte[most];
        int read = 0;
        int written = 0;
        while (read < block.Length)
        {
            int token = block[read++];
            for (int literals = Length(block, ref read, token >> 4); literals > 0; literals--)
            {
                output[written++] = block[read++];
            }

            if (read >= block.Length)
            {
                break;
            }

            int offset = BinaryPrimitives.ReadUInt16LittleEndian(block[read..]);
            read += 2;
            for (int match = Length(block, ref read, token & 15) + 4; match > 0; match--, written++)
            {
                output[written] = output[written - offset];
            }
        }

        return output;
    }

    private static int Length(ReadOnlySpan<byte> block, ref int read, int first)
    {
        int total = first;
        if (first == 15)
        {
            byte next;
            do
            {
                next = block[read++];
                total += next;
            }
            while (next == 255);
        }

        return total;
    }

    private sealed class FakeScreen(int width, int height) : IScreenSource
    {
        public uint[] Pixels { get; } = new uint[width * height];

        public void Fill(int seed)
        {
            for (int i = 0; i < Pixels.Length; i++)
            {
                Pixels[i] = (uint)((i / 5 * seed) & 0xff);
            }
        }

        /// <summary>Says of itself that it has not changed.</summary>
        public bool Still { get; init; }

        public bool MayHaveChanged(int top, int lines) => !Still;

        public void ReadLine(int y, Span<uint> line) => Pixels.AsSpan(y * width, width).CopyTo(line);
    }
}
