using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.Display;

namespace WebVm.Api.Console.Display;

/// <summary>A monitor's display in shared memory, as a source of frames.</summary>
internal sealed class MonitorScreen(DisplayView view) : IScreenSource, IDisposable
{
    private const int PageShift = 12;
    private const uint ColourMask = 0x00ff_ffff;

    private ulong _seen;
    private ulong _current;

    /// <summary>The mode that lines are read in.</summary>
    public DisplayMode Mode { get; private set; }

    /// <summary>Begins a look at the screen.</summary>
    /// <param name="fresh">The mode changed: everything counts as changed.</param>
    /// <returns>Null while the display is off; otherwise whether anything can have changed since the last look.</returns>
    public bool? Begin(out bool fresh)
    {
        fresh = false;
        if (view.Mode is not { } mode)
        {
            return null;
        }

        if (mode != Mode)
        {
            fresh = true;
            Mode = mode;
            _seen = 0;
        }

        _current = view.Generation;
        return fresh || _current != _seen;
    }

    /// <summary>The look is over; the next asks for what changes from here on.</summary>
    public void End() => _seen = _current;

    public bool MayHaveChanged(int top, int height)
    {
        if (_seen == 0)
        {
            return true;
        }

        long first = Mode.Offset + ((long)top * Mode.Stride);
        long last = first + ((long)height * Mode.Stride) - 1;
        for (int page = (int)(first >> PageShift); page <= (int)(last >> PageShift) && page < view.PageCount; page++)
        {
            if (view.ChangedSince(page, _seen))
            {
                return true;
            }
        }

        return false;
    }

    public void ReadLine(int y, Span<uint> line)
    {
        var bytes = view.Line(Mode, y);
        switch (Mode.BytesPerPixel)
        {
            case 4:
                CopyColours(MemoryMarshal.Cast<byte, uint>(bytes), line);
                break;
            case 3:
                for (int x = 0; x < line.Length; x++)
                {
                    line[x] = bytes[3 * x] | ((uint)bytes[(3 * x) + 1] << 8) | ((uint)bytes[(3 * x) + 2] << 16);
                }

                break;
            default:
                Expand565(MemoryMarshal.Cast<byte, ushort>(bytes), line);
                break;
        }
    }

    public void Dispose() => view.Dispose();

    // What a guest writes beside the colours is not seen, and must not count as a change.
    private static void CopyColours(ReadOnlySpan<uint> pixels, Span<uint> line)
    {
        int x = 0;
        for (; x <= line.Length - Vector256<uint>.Count; x += Vector256<uint>.Count)
        {
            (Vector256.Create(pixels[x..]) & Vector256.Create(ColourMask)).CopyTo(line[x..]);
        }

        for (; x < line.Length; x++)
        {
            line[x] = pixels[x] & ColourMask;
        }
    }

    // Five and six bits become eight by repeating their upper bits, so that white stays white.
    private static void Expand565(ReadOnlySpan<ushort> pixels, Span<uint> line)
    {
        for (int x = 0; x < line.Length; x++)
        {
            uint pixel = pixels[x];
            uint red = pixel >> 11;
            uint green = (pixel >> 5) & 0x3f;
            uint blue = pixel & 0x1f;
            line[x] = (((red << 3) | (red >> 2)) << 16) | (((green << 2) | (green >> 4)) << 8) | (blue << 3) | (blue >> 2);
        }
    }
}
