using WebVm.Api.Console.Display;

namespace WebVm.Kit.Screens;

/// <summary>
/// A screen with a photograph's statistics: detail of every size, the finer the fainter, colours that change more slowly than light, and
/// grain.
/// </summary>
internal sealed class Photograph : IScreenSource
{
    private const int Coarsest = 256;

    private readonly int _width;

    public Photograph(int width, int height, int seed = 0)
    {
        _width = width;
        Pixels = new uint[width * height];
        for (int i = 0; i < Pixels.Length; i++)
        {
            Pixels[i] = Pixel(i % width, i / width, seed);
        }
    }

    public uint[] Pixels { get; }

    public bool MayHaveChanged(int top, int height) => true;

    public void ReadLine(int y, Span<uint> line) => Pixels.AsSpan(y * _width, line.Length).CopyTo(line);

    private static uint Pixel(int x, int y, int seed)
    {
        double light = 128 + (Random(x, y, seed) * 3);
        for (int size = Coarsest; size >= 2; size /= 2)
        {
            light += Smooth(x, y, size, seed) * 70 * Math.Sqrt(size / (double)Coarsest);
        }

        double red = Smooth(x, y, Coarsest / 2, seed + 1) * 60 + (Smooth(x, y, 24, seed + 2) * 12);
        double blue = Smooth(x, y, Coarsest / 2, seed + 3) * 60 + (Smooth(x, y, 24, seed + 4) * 12);
        return (Level(light + red) << 16) | (Level(light - ((red + blue) / 3)) << 8) | Level(light + blue);
    }

    private static uint Level(double value) => (uint)Math.Clamp(value, 0, 255);

    /// <summary>Between -1 and 1, and continuous.</summary>
    private static double Smooth(int x, int y, int size, int seed)
    {
        (int column, double across) = (x / size, Ease(x % size / (double)size));
        (int row, double down) = (y / size, Ease(y % size / (double)size));
        double Corner(int right, int below) => Random(column + right, row + below, (seed * 31) + size);
        double above = Corner(0, 0) + ((Corner(1, 0) - Corner(0, 0)) * across);
        double below = Corner(0, 1) + ((Corner(1, 1) - Corner(0, 1)) * across);
        return above + ((below - above) * down);

        static double Ease(double value) => value * value * (3 - (2 * value));
    }

    private static double Random(int x, int y, int seed)
    {
        uint value = ((uint)x * 2654435761u) ^ ((uint)y * 2246822519u) ^ ((uint)seed * 3266489917u);
        value ^= value >> 15;
        value *= 2246822519u;
        value ^= value >> 13;
        value *= 3266489917u;
        value ^= value >> 16;
        return (value / (double)uint.MaxValue * 2) - 1;
    }
}
