using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Consoles;

namespace WebVm.Vmm.Control;

/// <summary>
/// A client's view of a machine's display: the guest's pixels and the generation in which each of their pages last changed, both in memory
/// shared with the machine's process. What lies there is untrusted: whatever it says, reads stay within the mapping.
/// </summary>
public sealed unsafe class DisplayView : IDisposable
{
    private const ulong PageSize = 4096;
    private const int MaximumExtent = 16384;

    /// <summary>Bytes of the framebuffer at most: of a 32-bit screen of the largest size that is ever asked for.</summary>
    private const ulong MaximumFramebuffer = 64 << 20;

    private readonly MemoryFile _framebuffer;
    private readonly MemoryFile _map;
    private readonly AddressReservation _pixels;
    private readonly AddressReservation _state;

    /// <exception cref="InvalidDataException">They are none of a display. They stay the caller's.</exception>
    internal DisplayView(MemoryFile framebuffer, MemoryFile map)
    {
        if (framebuffer.Size > MaximumFramebuffer || map.Size < DisplayMap.PagesOffset
            || map.Size > DisplayMap.SizeFor((int)(MaximumFramebuffer / PageSize)))
        {
            throw new InvalidDataException($"No display has a framebuffer of {framebuffer.Size} bytes and a map of {map.Size}.");
        }

        _framebuffer = framebuffer;
        _map = map;
        _pixels = AddressReservation.Inaccessible(framebuffer.Size);
        try
        {
            _state = AddressReservation.Inaccessible(map.Size);
            _pixels.Place(framebuffer, 0);
            _state.Place(map, 0);
            PageCount = (int)Math.Min((framebuffer.Size + PageSize - 1) / PageSize, (map.Size - DisplayMap.PagesOffset) / sizeof(uint));
            if (Read(DisplayMap.MagicOffset) != DisplayMap.Magic || Read(DisplayMap.VersionOffset) != DisplayMap.Version)
            {
                throw new InvalidDataException("The display's map is of another version.");
            }
        }
        catch
        {
            _pixels.Dispose();
            _state?.Dispose();
            throw;
        }
    }

    /// <summary>Pages of 4096 bytes of the framebuffer.</summary>
    public int PageCount { get; }

    /// <summary>Advances when pixels have changed.</summary>
    public ulong Generation => Volatile.Read(ref *(ulong*)(_state.Base + DisplayMap.GenerationOffset));

    /// <summary>Another value means that the mode may have changed.</summary>
    public uint ModeVersion => Read(DisplayMap.ModeVersionOffset);

    /// <summary>What is shown now; null while the display is off.</summary>
    public DisplayMode? Mode
    {
        get
        {
            for (int attempt = 0; attempt < 1000; attempt++)
            {
                uint before = Read(DisplayMap.SequenceOffset);
                var mode = new DisplayMode(
                    (int)Read(DisplayMap.WidthOffset), (int)Read(DisplayMap.HeightOffset), (int)Read(DisplayMap.BitsPerPixelOffset),
                    (int)Read(DisplayMap.StrideOffset), (int)Read(DisplayMap.StartOffset));
                Thread.MemoryBarrier();
                if ((before & 1) == 0 && before == Read(DisplayMap.SequenceOffset))
                {
                    return IsSound(mode) ? mode : null;
                }

                Thread.SpinWait(100);
            }

            return null;
        }
    }

    /// <summary>
    /// Whether the page changed after <paramref name="generation"/>. Read <see cref="Generation"/> first, then the pages, then the pixels.
    /// </summary>
    public bool ChangedSince(int page, ulong generation) => (int)(PageGeneration(page) - (uint)generation) > 0;

    /// <summary>The pixels of a line as they are now; the guest may be changing them.</summary>
    public ReadOnlySpan<byte> Line(DisplayMode mode, int line)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)line, (uint)mode.Height, nameof(line));
        long start = mode.Offset + ((long)line * mode.Stride);
        int length = mode.Width * mode.BytesPerPixel;
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)start + (ulong)length, _framebuffer.Size, nameof(mode));
        return new ReadOnlySpan<byte>(_pixels.Base + start, length);
    }

    public void Dispose()
    {
        _pixels.Dispose();
        _state.Dispose();
        _framebuffer.Dispose();
        _map.Dispose();
    }

    private bool IsSound(DisplayMode mode) =>
        mode.Width is > 0 and <= MaximumExtent && mode.Height is > 0 and <= MaximumExtent && mode.BitsPerPixel is 16 or 24 or 32
        && mode.Offset >= 0 && mode.Stride >= mode.Width * mode.BytesPerPixel
        && (ulong)mode.Offset + ((ulong)(mode.Height - 1) * (ulong)mode.Stride)
            + ((ulong)mode.Width * (ulong)mode.BytesPerPixel) <= _framebuffer.Size;

    private uint PageGeneration(int page)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)page, (uint)PageCount, nameof(page));
        return Read(DisplayMap.PagesOffset + (page * sizeof(uint)));
    }

    private uint Read(int offset) => Volatile.Read(ref *(uint*)(_state.Base + offset));
}
