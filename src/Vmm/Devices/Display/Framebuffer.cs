using WebVm.Vmm.Host;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Pictures;

namespace WebVm.Vmm.Devices.Display;

/// <summary>
/// The host's view of a display: its mode, its pixels and which of them changed. It maps the display memory by itself, so that it
/// does not matter where the guest has it, or whether.
/// </summary>
public sealed unsafe class Framebuffer : IDisposable
{
    private readonly GuestMemory _memory;
    private readonly IDisplay _display;
    private readonly AddressReservation _mapping;
    private readonly Lock _lock = new();
    private bool _disposed;

    public Framebuffer(GuestMemory memory, IDisplay display)
    {
        _memory = memory;
        _display = display;
        _mapping = AddressReservation.Inaccessible(display.Memory.Size);
        _mapping.Place(display.Memory.File, 0);
    }

    /// <summary>The display memory.</summary>
    public GuestMemoryRegion Memory => _display.Memory;

    /// <summary>What is shown now, or null while the display is off.</summary>
    public DisplayMode? Mode => _display.Mode;

    /// <summary>Another value means that the mode may have changed and that everything has to be drawn anew.</summary>
    public int ModeVersion => _display.ModeVersion;

    /// <summary>
    /// The viewer's size changed: what the monitor asks the guest for from now on. Sizes beyond what an EDID can say are cut.
    /// </summary>
    public bool Prefer(int width, int height) =>
        _display.SetPreferredMode(Math.Min(width, Edid.MaximumWidth), Math.Min(height, Edid.MaximumHeight));

    /// <summary>Watches which pages of display memory are written to.</summary>
    public PageWatch Watch() => _memory.Watch(_display.Memory);

    /// <summary>The pixels of one line as the guest has them. The guest may be changing them.</summary>
    public ReadOnlySpan<byte> Line(DisplayMode mode, int line)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)line, (uint)mode.Height, nameof(line));
        long start = mode.Offset + ((long)line * mode.Stride);
        int length = mode.Width * mode.BytesPerPixel;
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)(start + length), _display.Memory.Size, nameof(mode));
        return new ReadOnlySpan<byte>(_mapping.Base + start, length);
    }

    /// <summary>
    /// Copies what is shown. Null while the display is off, or gone: who asks may not know yet that the machine has ended.
    /// </summary>
    public Screenshot? Capture()
    {
        lock (_lock)
        {
            return !_disposed && Mode is { } mode ? ScreenCapture.Of(this, mode) : null;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _mapping.Dispose();
        }
    }
}
