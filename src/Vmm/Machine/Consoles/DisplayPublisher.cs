using WebVm.Vmm.Confinement;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Host;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// Keeps a <see cref="DisplayMap"/> up to date while somebody looks: about sixty times a second it collects the pages that the guest
/// wrote to. While nobody looks it costs nothing.
/// </summary>
public sealed unsafe class DisplayPublisher : IDisposable
{
    private const int PeriodMilliseconds = 16;

    private readonly Lock _lock = new();
    private readonly Framebuffer _framebuffer;
    private readonly AddressReservation _mapping;
    private readonly int _pages;
    private Thread? _thread;
    private int _viewers;
    private ulong _generation;
    private int _modeVersion = -1;
    private bool _disposed;

    public DisplayPublisher(Framebuffer framebuffer)
    {
        _framebuffer = framebuffer;
        _pages = framebuffer.Memory.PageCount;
        ulong size = DisplayMap.SizeFor(_pages);
        File = MemoryFile.Create("display-map", size);
        _mapping = AddressReservation.Inaccessible(size);
        _mapping.Place(File, 0);
        Write(DisplayMap.MagicOffset, DisplayMap.Magic);
        Write(DisplayMap.VersionOffset, DisplayMap.Version);
        Write(DisplayMap.PageCountOffset, (uint)_pages);
    }

    /// <summary>The map, to be shared.</summary>
    public MemoryFile File { get; }

    /// <summary>The mode changed. Raised on the publisher's thread while there are viewers.</summary>
    public event Action? ModeChanged;

    /// <summary>One more looks; returns once the map is up to date.</summary>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public void AddViewer()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_viewers++ == 0)
            {
                var watch = _framebuffer.Watch();
                MarkAll();
                _thread = new Thread(() => Loop(watch)) { Name = "display", IsBackground = true };
                _thread.Start();
            }
        }
    }

    public void RemoveViewer()
    {
        Thread? ending = null;
        lock (_lock)
        {
            if (--_viewers == 0)
            {
                ending = _thread;
                _thread = null;
            }
        }

        if (ending != Thread.CurrentThread)
        {
            ending?.Join();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _viewers = 0;
            _thread = null;
        }

        _mapping.Dispose();
        File.Dispose();
    }

    private void Loop(PageWatch watch)
    {
        InnerWall.Narrow(ThreadRole.Display);
        var bitmap = new ulong[watch.Words];
        while (true)
        {
            bool modeChanged;
            lock (_lock)
            {
                if (_thread != Thread.CurrentThread)
                {
                    // At the end of the machine its memory ends too.
                    if (!_disposed)
                    {
                        watch.Dispose();
                    }

                    return;
                }

                modeChanged = Refresh(watch, bitmap);
            }

            if (modeChanged)
            {
                ModeChanged?.Invoke();
            }

            Thread.Sleep(PeriodMilliseconds);
        }
    }

    private bool Refresh(PageWatch watch, ulong[] bitmap)
    {
        int version = _framebuffer.ModeVersion;
        bool modeChanged = version != _modeVersion;
        if (modeChanged)
        {
            _modeVersion = version;
            MarkAll();
        }

        Array.Clear(bitmap);
        watch.Collect(bitmap);
        ulong next = _generation + 1;
        bool changed = false;
        for (int word = 0; word < bitmap.Length; word++)
        {
            for (ulong bits = bitmap[word]; bits != 0; bits &= bits - 1)
            {
                int page = (word * 64) + System.Numerics.BitOperations.TrailingZeroCount(bits);
                Write(DisplayMap.PagesOffset + (page * sizeof(uint)), (uint)next);
                changed = true;
            }
        }

        if (changed)
        {
            Publish(next);
        }

        return modeChanged;
    }

    /// <summary>Everything has to be drawn anew, in the mode that is set now.</summary>
    private void MarkAll()
    {
        var mode = _framebuffer.Mode ?? default;
        uint sequence = *(uint*)(_mapping.Base + DisplayMap.SequenceOffset);
        Write(DisplayMap.SequenceOffset, sequence + 1);
        Thread.MemoryBarrier();
        Write(DisplayMap.ModeVersionOffset, (uint)_framebuffer.ModeVersion);
        Write(DisplayMap.WidthOffset, (uint)mode.Width);
        Write(DisplayMap.HeightOffset, (uint)mode.Height);
        Write(DisplayMap.BitsPerPixelOffset, (uint)mode.BitsPerPixel);
        Write(DisplayMap.StrideOffset, (uint)mode.Stride);
        Write(DisplayMap.StartOffset, (uint)mode.Offset);
        Thread.MemoryBarrier();
        Write(DisplayMap.SequenceOffset, sequence + 2);
        ulong next = _generation + 1;
        for (int page = 0; page < _pages; page++)
        {
            Write(DisplayMap.PagesOffset + (page * sizeof(uint)), (uint)next);
        }

        Publish(next);
    }

    private void Publish(ulong generation)
    {
        _generation = generation;
        Volatile.Write(ref *(ulong*)(_mapping.Base + DisplayMap.GenerationOffset), generation);
    }

    private void Write(int offset, uint value) => Volatile.Write(ref *(uint*)(_mapping.Base + offset), value);
}
