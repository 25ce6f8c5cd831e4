using System.Buffers.Binary;

namespace WebVm.Vmm.Devices.Display;

/// <summary>A copy of the screen: lines of red, green, blue.</summary>
public sealed class Screenshot
{
    public const int BytesPerPixel = 3;

    private readonly byte[] _pixels;

    private Screenshot(int width, int height)
    {
        Width = width;
        Height = height;
        _pixels = new byte[width * height * BytesPerPixel];
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>The red, green and blue bytes of all pixels, line by line.</summary>
    public ReadOnlySpan<byte> Pixels => _pixels;

    public (byte Red, byte Green, byte Blue) this[int x, int y]
    {
        get
        {
            var pixel = Line(y).Slice(x * BytesPerPixel, BytesPerPixel);
            return (pixel[0], pixel[1], pixel[2]);
        }
    }

    public ReadOnlySpan<byte> Line(int y) => _pixels.AsSpan(y * Width * BytesPerPixel, Width * BytesPerPixel);

    /// <summary>
    /// The picture itself, or a smaller one with the same aspect: every pixel is the mean of the area that it covers, so that thin lines and
    /// small letters fade and do not vanish.
    /// </summary>
    public Screenshot NoWiderThan(int width)
    {
        if (width >= Width)
        {
            return this;
        }

        var smaller = new Screenshot(width, Math.Max(1, (int)Math.Round((double)Height * width / Width)));
        AreaScaler.Scale(_pixels, Width, Height, smaller._pixels, smaller.Width, smaller.Height);
        return smaller;
    }

    /// <summary>Writes the picture as PNG.</summary>
    public void WritePng(Stream destination) => PngEncoder.Write(destination, this);

    internal static Screenshot Of(Framebuffer framebuffer, DisplayMode mode)
    {
        var shot = new Screenshot(mode.Width, mode.Height);
        for (int y = 0; y < mode.Height; y++)
        {
            var target = shot._pixels.AsSpan(y * mode.Width * BytesPerPixel, mode.Width * BytesPerPixel);
            Convert(framebuffer.Line(mode, y), mode.BytesPerPixel, target);
        }

        return shot;
    }

    private static void Convert(ReadOnlySpan<byte> source, int sourceBytes, Span<byte> target)
    {
        for (int from = 0, to = 0; to < target.Length; from += sourceBytes, to += BytesPerPixel)
        {
            if (sourceBytes == 2)
            {
                int value = BinaryPrimitives.ReadUInt16LittleEndian(source[from..]);
                target[to] = Widen((value >> 11) & 31, 5);
                target[to + 1] = Widen((value >> 5) & 63, 6);
                target[to + 2] = Widen(value & 31, 5);
            }
            else
            {
                target[to] = source[from + 2];
                target[to + 1] = source[from + 1];
                target[to + 2] = source[from];
            }
        }
    }

    /// <summary>Scales to eight bits so that the largest value stays the largest.</summary>
    private static byte Widen(int value, int bits) => (byte)((value << (8 - bits)) | (value >> ((2 * bits) - 8)));
}
