using WebVm.Api.Console.Display;

namespace WebVm.Benchmarks.Console;

/// <summary>From pixels to encoded tiles, for one screen of 1024 by 768 on one thread.</summary>
internal sealed class EncodingBenchmark : IBenchmark
{
    private const int Width = 1024;
    private const int Height = 768;
    private const int Operations = 20;

    public string Name => "encoding";

    public IEnumerable<Measurement> Run()
    {
        (string What, Func<int, int, uint> Pixel)[] screens =
        [
            ("screen of text changes, 2 colours", (i, frame) => Noise((i / 3) + frame) % 5 == 0 ? 0xaaaaaau : 0),
            ("screen of text changes, 4 colours", (i, frame) => Noise((i / 3) + frame) % 4 * 0x123456),
            ("screen of icons changes, 16 colours", (i, frame) => Noise((i / 5) + frame) % 16 * 0x0b0d0f),
            ("screen of gradients changes", (i, frame) => (uint)((i % Width / 4) + (frame & 7)) * 0x010101),
            ("screen of noise changes", (i, frame) => Noise(i + frame) & 0xffffff),
        ];
        foreach (var (what, pixel) in screens)
        {
            var screen = new TwoScreens(pixel);
            var grid = new TileGrid(Width, Height);
            long number = 0;
            var (nanoseconds, bytes) = Timing.Measure(Operations, count =>
            {
                for (int i = 0; i < count; i++)
                {
                    screen.Flip();
                    grid.Update(screen, ++number);
                }
            });
            yield return new(what, nanoseconds / 1e6, "ms", $"{bytes:f0} B/op");
        }

        var letter = new TwoScreens(
            (i, frame) => i % Width < 8 && i / Width is > 300 and < 317 ? (uint)frame * 0xaaaaaa : 0) { First = 300, Last = 317 };
        var small = new TileGrid(Width, Height);
        long frames = 0;
        var (time, allocated) = Timing.Measure(Operations * 50, count =>
        {
            for (int i = 0; i < count; i++)
            {
                letter.Flip();
                small.Update(letter, ++frames);
            }
        });
        yield return new("one letter changes", time / 1000, "us", $"{allocated:f0} B/op");
        foreach (var measurement in MeasurePhotograph())
        {
            yield return measurement;
        }
    }

    /// <summary>The same photograph without loss and with, tile by tile.</summary>
    private static IEnumerable<Measurement> MeasurePhotograph()
    {
        var photographs = new[] { new Photograph(Width, Height, 1), new Photograph(Width, Height, 2) };
        var grid = new TileGrid(Width, Height);
        long number = 0;
        grid.Update(photographs[0], ++number);
        yield return new("photographic tile, lossless", Enumerable.Range(0, grid.Count).Average(tile => grid.Encoded(tile).Length), "B");
        yield return new("photographic tile, JPEG", Enumerable.Range(0, grid.Count).Average(tile => grid.Lossy(tile).Length), "B");
        var (lossless, bytes) = Timing.Measure(Operations, count => Encode(count, lossy: false));
        yield return new("photographic screen changes", lossless / 1e6, "ms", $"{bytes:f0} B/op");
        (double both, bytes) = Timing.Measure(Operations, count => Encode(count, lossy: true));
        yield return new("the same, and every tile as JPEG for a slow link", both / 1e6, "ms", $"{bytes:f0} B/op");
        yield return new("photographic tile to JPEG", (both - lossless) / grid.Count / 1000, "us");

        void Encode(int count, bool lossy)
        {
            for (int i = 0; i < count; i++)
            {
                number++;
                grid.Update(photographs[number % 2], number);
                for (int tile = 0; lossy && tile < grid.Count; tile++)
                {
                    grid.Lossy(tile);
                }
            }
        }
    }

    private static uint Noise(int i)
    {
        uint value = (uint)i * 2654435761u;
        value ^= value >> 15;
        value *= 2246822519u;
        return value ^ (value >> 13);
    }

    /// <summary>Shows two pictures in turn.</summary>
    private sealed class TwoScreens(Func<int, int, uint> pixel) : IScreenSource
    {
        private readonly uint[][] _pictures = [.. Enumerable.Range(0, 2)
            .Select(frame => Enumerable.Range(0, Width * Height).Select(i => pixel(i, frame)).ToArray())];
        private int _shown;

        public int First { get; init; }

        public int Last { get; init; } = Height;

        public void Flip() => _shown ^= 1;

        public bool MayHaveChanged(int top, int height) => top < Last && top + height > First;

        public void ReadLine(int y, Span<uint> line) => _pictures[_shown].AsSpan(y * Width, Width).CopyTo(line);
    }
}
