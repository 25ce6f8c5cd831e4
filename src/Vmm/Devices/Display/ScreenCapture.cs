using System.Buffers.Binary;
using WebVm.Vmm.Pictures;

namespace WebVm.Vmm.Devices.Display;

/// <summary>Takes a picture of what a framebuffer shows.</summary>
internal static class ScreenCapture
{
    public static Screenshot Of(Framebuffer framebuffer, DisplayMode mode)
    {
        var shot = new Screenshot(mode.Width, mode.Height);
        for (int y = 0; y < mode.Height; y++)
        {
            Convert(framebuffer.Line(mode, y), mode.BytesPerPixel, shot.LineToFill(y));
        }

        return shot;
    }

    private static void Convert(ReadOnlySpan<byte> source, int sourceBytes, Span<byte> target)
    {
        for (int from = 0, to = 0; to < target.Length; from += sourceBytes, to += Screenshot.BytesPerPixel)
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
