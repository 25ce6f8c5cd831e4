namespace WebVm.Vmm.Devices.Bus;

/// <summary>The memory-mapped registers of the machine: a sorted snapshot of segments that do not overlap, replaced as a whole.</summary>
internal sealed class MmioSpace(Action<BusWindow, Exception> faulted)
{
    /// <summary>A range that one window answers; windows with holes punched by others yield several.</summary>
    private sealed record Segment(ulong First, ulong Last, BusWindow Window);

    private readonly Lock _changing = new();
    private BusWindow[] _windows = [];
    private Segment[] _segments = [];
    // A hint only: it is checked against the address, and a closed window refuses the access.
    private Segment? _lastHit;
    private long _unclaimed;

    public IReadOnlyList<BusWindow> Windows => Volatile.Read(ref _windows);

    /// <summary>Accesses that nothing answered.</summary>
    public long Unclaimed => Volatile.Read(ref _unclaimed);

    public void Add(BusWindow window)
    {
        lock (_changing)
        {
            int at = Array.FindIndex(_windows, other => other.Precedence > window.Precedence);
            at = at < 0 ? _windows.Length : at;
            Publish([.. _windows[..at], window, .. _windows[at..]]);
        }
    }

    public void Remove(BusWindow window)
    {
        window.Close();
        lock (_changing)
        {
            Publish([.. _windows.Where(other => other != window)]);
        }
    }

    public ulong Read(ulong address, int size)
    {
        var segment = Find(address);
        if (segment is null)
        {
            if (size == 1)
            {
                Interlocked.Increment(ref _unclaimed);
                return 0xff;
            }
        }
        else if (size <= segment.Window.Width && segment.Last - address >= (ulong)(size - 1))
        {
            return ReadWindow(segment.Window, address, size);
        }

        return ReadSplit(address, size);
    }

    public void Write(ulong address, int size, ulong value)
    {
        var segment = Find(address);
        if (segment is null)
        {
            if (size == 1)
            {
                Interlocked.Increment(ref _unclaimed);
                return;
            }
        }
        else if (size <= segment.Window.Width && segment.Last - address >= (ulong)(size - 1))
        {
            WriteWindow(segment.Window, address, size, value);
            return;
        }

        WriteSplit(address, size, value);
    }

    /// <summary>Lays the windows over each other, first come first served, and replaces the snapshot.</summary>
    private void Publish(BusWindow[] windows)
    {
        var segments = new List<Segment>(windows.Length);
        foreach (var window in windows)
        {
            ulong next = window.First;
            bool exhausted = false;
            foreach (var present in segments.Where(s => s.First <= window.Last && window.First <= s.Last).OrderBy(s => s.First).ToArray())
            {
                if (present.First > next)
                {
                    segments.Add(new Segment(next, present.First - 1, window));
                }

                if (present.Last >= window.Last)
                {
                    exhausted = true;
                    break;
                }

                next = present.Last + 1;
            }

            if (!exhausted)
            {
                segments.Add(new Segment(next, window.Last, window));
            }
        }

        Segment[] sorted = [.. segments.OrderBy(segment => segment.First)];
        Volatile.Write(ref _segments, sorted);
        Volatile.Write(ref _windows, windows);
        Volatile.Write(ref _lastHit, null);
    }

    private Segment? Find(ulong address)
    {
        var hint = Volatile.Read(ref _lastHit);
        if (hint is not null && address >= hint.First && address <= hint.Last)
        {
            return hint;
        }

        var segments = Volatile.Read(ref _segments);
        var segment = Find(segments, address);
        if (segment is not null)
        {
            Remember(segments, segment);
        }

        return segment;
    }

    private static Segment? Find(Segment[] segments, ulong address)
    {
        int low = 0, high = segments.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            var segment = segments[middle];
            if (address < segment.First)
            {
                high = middle - 1;
            }
            else if (address > segment.Last)
            {
                low = middle + 1;
            }
            else
            {
                return segment;
            }
        }

        return null;
    }

    private void Remember(Segment[] from, Segment segment)
    {
        Volatile.Write(ref _lastHit, segment);
        Interlocked.MemoryBarrier();
        // A snapshot that was replaced meanwhile must not leave its segment behind as the hint.
        if (Volatile.Read(ref _segments) != from)
        {
            Volatile.Write(ref _lastHit, null);
        }
    }

    /// <summary>The largest piece at <paramref name="address"/> that one window takes, or that none does.</summary>
    private static int Piece(Segment[] segments, ulong address, int remaining, out BusWindow? window)
    {
        var segment = Find(segments, address);
        window = segment?.Window;
        if (segment is null)
        {
            return 1;
        }

        ulong limit = (ulong)Math.Min(remaining, segment.Window.Width);
        ulong size = 1;
        while (size * 2 <= limit && segment.Last - address >= (size * 2) - 1 && address % (size * 2) == 0)
        {
            size *= 2;
        }

        return (int)size;
    }

    private ulong ReadSplit(ulong address, int size)
    {
        // One snapshot for all pieces: an access is answered by the windows of one moment.
        var segments = Volatile.Read(ref _segments);
        ulong value = 0;
        for (int done = 0; done < size;)
        {
            int piece = Piece(segments, address + (ulong)done, size - done, out var window);
            ulong part = window is null ? OpenBus.Read(piece) : ReadWindow(window, address + (ulong)done, piece);
            value |= part << (done * 8);
            done += piece;
            if (window is null)
            {
                Interlocked.Increment(ref _unclaimed);
            }
        }

        return value;
    }

    private void WriteSplit(ulong address, int size, ulong value)
    {
        var segments = Volatile.Read(ref _segments);
        for (int done = 0; done < size;)
        {
            int piece = Piece(segments, address + (ulong)done, size - done, out var window);
            if (window is null)
            {
                Interlocked.Increment(ref _unclaimed);
            }
            else
            {
                WriteWindow(window, address + (ulong)done, piece, (value >> (done * 8)) & OpenBus.Read(piece));
            }

            done += piece;
        }
    }

    private ulong ReadWindow(BusWindow window, ulong address, int size)
    {
        if (!window.TryEnter())
        {
            return OpenBus.Read(size);
        }

        try
        {
            return window.Memory!.ReadMmio(address - window.First, size) & OpenBus.Read(size);
        }
        catch (Exception exception)
        {
            faulted(window, exception);
            return OpenBus.Read(size);
        }
        finally
        {
            window.Leave();
        }
    }

    private void WriteWindow(BusWindow window, ulong address, int size, ulong value)
    {
        if (!window.TryEnter())
        {
            return;
        }

        try
        {
            window.CountWrite();
            window.Memory!.WriteMmio(address - window.First, size, value);
        }
        catch (Exception exception)
        {
            faulted(window, exception);
        }
        finally
        {
            window.Leave();
        }
    }
}
