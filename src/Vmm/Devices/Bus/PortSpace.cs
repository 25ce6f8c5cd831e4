using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Bus;

/// <summary>The 65,536 I/O ports: one table entry a port, changed while vCPUs read it.</summary>
/// <remarks>
/// Each entry is one reference and so is replaced atomically. An access that meets a window half moved sees either
/// the old or the new state of a port, as on a bus that is being reprogrammed.
/// </remarks>
internal sealed class PortSpace(Action<BusWindow, Exception> faulted)
{
    public const int PortCount = 65536;

    private readonly BusWindow?[] _table = new BusWindow?[PortCount];
    private readonly Lock _changing = new();
    private BusWindow[] _windows = [];
    private long _unclaimed;

    public IReadOnlyList<BusWindow> Windows => Volatile.Read(ref _windows);

    /// <summary>Accesses that nothing answered.</summary>
    public long Unclaimed => Volatile.Read(ref _unclaimed);

    public void Add(BusWindow window)
    {
        lock (_changing)
        {
            // Sorted by precedence; within one precedence by age.
            int at = Array.FindIndex(_windows, other => other.Precedence > window.Precedence);
            at = at < 0 ? _windows.Length : at;
            Volatile.Write(ref _windows, [.. _windows[..at], window, .. _windows[at..]]);
            for (ulong port = window.First; port <= window.Last; port++)
            {
                if (_table[port] is not { } present || present.Precedence > window.Precedence)
                {
                    Volatile.Write(ref _table[port], window);
                }
            }
        }
    }

    public void Remove(BusWindow window)
    {
        window.Close();
        lock (_changing)
        {
            BusWindow[] rest = [.. _windows.Where(other => other != window)];
            Volatile.Write(ref _windows, rest);
            BusWindow[] overlapping = [.. rest.Where(other => other.First <= window.Last && window.First <= other.Last)];
            for (ulong port = window.First; port <= window.Last; port++)
            {
                if (_table[port] == window)
                {
                    Volatile.Write(ref _table[port], Array.Find(overlapping, other => other.First <= port && port <= other.Last));
                }
            }
        }
    }

    public uint Read(ushort port, int size)
    {
        var window = Volatile.Read(ref _table[port]);
        if (window is null)
        {
            if (size == 1)
            {
                Interlocked.Increment(ref _unclaimed);
                return 0xff;
            }
        }
        else if (size == 1 || IsWhole(window, port, size))
        {
            return ReadWindow(window, port, size);
        }

        return ReadSplit(port, size);
    }

    public void Write(ushort port, int size, uint value)
    {
        var window = Volatile.Read(ref _table[port]);
        if (window is null)
        {
            if (size == 1)
            {
                Interlocked.Increment(ref _unclaimed);
                return;
            }
        }
        else if (size == 1 || IsWhole(window, port, size))
        {
            WriteWindow(window, port, size, value);
            return;
        }

        WriteSplit(port, size, value);
    }

    /// <summary>Whether the window takes the access in one piece: it may be too narrow, end here, or lie under another in part.</summary>
    private bool IsWhole(BusWindow window, int port, int size)
    {
        if (size > window.Width || port + size > PortCount)
        {
            return false;
        }

        for (int i = 1; i < size; i++)
        {
            if (Volatile.Read(ref _table[port + i]) != window)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The largest piece at <paramref name="port"/> that one window takes, or that none does.</summary>
    private int Piece(int port, int remaining, out BusWindow? window)
    {
        window = port < PortCount ? Volatile.Read(ref _table[port]) : null;
        if (window is null)
        {
            return 1;
        }

        int size = 1;
        while (size * 2 <= remaining && port % (size * 2) == 0 && IsWhole(window, port, size * 2))
        {
            size *= 2;
        }

        return size;
    }

    private uint ReadSplit(int port, int size)
    {
        uint value = 0;
        for (int done = 0; done < size;)
        {
            int piece = Piece(port + done, size - done, out var window);
            uint part = window is null ? (uint)OpenBus.Read(piece) : ReadWindow(window, port + done, piece);
            value |= part << (done * 8);
            done += piece;
            if (window is null)
            {
                Interlocked.Increment(ref _unclaimed);
            }
        }

        return value;
    }

    private void WriteSplit(int port, int size, uint value)
    {
        for (int done = 0; done < size;)
        {
            int piece = Piece(port + done, size - done, out var window);
            if (window is null)
            {
                Interlocked.Increment(ref _unclaimed);
            }
            else
            {
                WriteWindow(window, port + done, piece, (value >> (done * 8)) & (uint)OpenBus.Read(piece));
            }

            done += piece;
        }
    }

    private uint ReadWindow(BusWindow window, int port, int size)
    {
        if (!window.TryEnter())
        {
            return (uint)OpenBus.Read(size);
        }

        try
        {
            return window.Ports!.ReadPort(port - (int)window.First, size) & (uint)OpenBus.Read(size);
        }
        catch (Exception exception)
        {
            faulted(window, exception);
            return (uint)OpenBus.Read(size);
        }
        finally
        {
            window.Leave();
        }
    }

    private void WriteWindow(BusWindow window, int port, int size, uint value)
    {
        if (!window.TryEnter())
        {
            return;
        }

        try
        {
            window.CountWrite();
            window.Ports!.WritePort(port - (int)window.First, size, value);
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
