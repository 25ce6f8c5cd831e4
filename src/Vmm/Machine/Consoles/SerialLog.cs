namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// The last bytes that a guest wrote to a serial port, by their offset since power-on. Readers come at their own pace: one that
/// falls behind finds the beginning gone and sees it by the offset it is given.
/// </summary>
public sealed class SerialLog
{
    public const int Capacity = 1 << 20;

    private readonly object _gate = new();
    private readonly byte[] _ring = new byte[Capacity];
    private long _end;

    /// <summary>Raised after bytes were added, on the guest's thread; handlers return at once.</summary>
    public event Action? Grew;

    /// <summary>Bytes ever written.</summary>
    public long End => Interlocked.Read(ref _end);

    /// <summary>Offset of the oldest byte that is still there.</summary>
    public long Start => Math.Max(0, End - Capacity);

    public void Append(ReadOnlySpan<byte> data)
    {
        if (data.Length > Capacity)
        {
            data = data[^Capacity..];
        }

        lock (_gate)
        {
            int at = (int)(_end % Capacity);
            int first = Math.Min(data.Length, Capacity - at);
            data[..first].CopyTo(_ring.AsSpan(at));
            data[first..].CopyTo(_ring);
            Interlocked.Exchange(ref _end, _end + data.Length);
            Monitor.PulseAll(_gate);
        }

        Grew?.Invoke();
    }

    /// <summary>Copies bytes from <paramref name="offset"/> on, or from the oldest that are left.</summary>
    /// <param name="offset">In: where to begin. Out: where the copied bytes begin.</param>
    /// <returns>Bytes copied; 0 when there are none yet.</returns>
    public int Read(ref long offset, Span<byte> destination)
    {
        lock (_gate)
        {
            offset = Math.Clamp(offset, Math.Max(0, _end - Capacity), _end);
            int count = (int)Math.Min(destination.Length, _end - offset);
            int at = (int)(offset % Capacity);
            int first = Math.Min(count, Capacity - at);
            _ring.AsSpan(at, first).CopyTo(destination);
            _ring.AsSpan(0, count - first).CopyTo(destination[first..]);
            return count;
        }
    }

    /// <summary>
    /// Waits until there is something at <paramref name="offset"/>, or <paramref name="ended"/> says so; <see cref="Wake"/> makes it look.
    /// </summary>
    public void Wait(long offset, Func<bool> ended)
    {
        lock (_gate)
        {
            while (_end <= offset && !ended())
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Lets everybody who waits look anew.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits until there is something at <paramref name="offset"/>.</summary>
    /// <returns>False when there is nothing after <paramref name="limit"/>.</returns>
    public bool Wait(long offset, TimeSpan limit)
    {
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        lock (_gate)
        {
            while (_end <= offset)
            {
                long left = deadline - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)Math.Min(left, int.MaxValue)))
                {
                    return _end > offset;
                }
            }

            return true;
        }
    }
}
