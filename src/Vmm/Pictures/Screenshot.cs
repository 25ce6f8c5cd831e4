namespace WebVm.Vmm.Pictures;

/// <summary>A copy of the screen: lines of red, green, blue.</summary>
public sealed class Screenshot
{
    public const int BytesPerPixel = 3;

    private readonly byte[] _pixels;

    internal Screenshot(int width, int height)
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

    public ReadOnlySpan<byte> Line(int y) => LineToFill(y);

    /// <summary>The same, for whoever takes the picture.</summary>
    internal Span<byte> LineToFill(int y) => _pixels.AsSpan(y * Width * BytesPerPixel, Width * BytesPerPixel);

    /// <summary>
    /// The picture itself, or a smaller one with the same aspect: every pixel is the mean of the area that it covers, so that thin lines
    /// and small letters fade and do not vanish.
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
}
