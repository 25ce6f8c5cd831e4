namespace WebVm.Vmm.Devices.Display;

/// <summary>What the display shows: a rectangle of pixels somewhere in its memory. Always lies within that memory.</summary>
/// <param name="Width">Pixels.</param>
/// <param name="Height">Lines.</param>
/// <param name="BitsPerPixel">16 (r5g6b5), 24 (b, g, r) or 32 (b, g, r, unused).</param>
/// <param name="Stride">Bytes from one line to the next.</param>
/// <param name="Offset">Bytes from the start of the memory to the first pixel.</param>
public readonly record struct DisplayMode(int Width, int Height, int BitsPerPixel, int Stride, int Offset)
{
    public int BytesPerPixel => BitsPerPixel / 8;
}
