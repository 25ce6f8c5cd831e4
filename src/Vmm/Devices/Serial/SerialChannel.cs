using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Serial;

/// <summary>
/// A serial back end with bounded buffers in both directions, for a host side that reads and writes at its own pace
/// (a terminal, a file, a socket). The guest is held back when nobody takes its output, unless <see cref="DiscardWhenFull"/> is set.
/// </summary>
public sealed class SerialChannel(int outputCapacity = 65536, int inputCapacity = 4096) : ISerialBackend, IDisposable
{
    private readonly object _lock = new();
    private readonly ByteFifo _output = new(outputCapacity);
    private readonly ByteFifo _input = new(inputCapacity);
    private readonly Lock _delivery = new();
    private ISerialPort? _port;
    private bool _guestWaits;
    private bool _mayDeliver;
    private bool _closed;
    private long _discarded;

    /// <summary>The oldest output is lost when nobody takes it, instead of the guest waiting.</summary>
    public bool DiscardWhenFull { get; set; }

    /// <summary>Bytes lost by <see cref="DiscardWhenFull"/>.</summary>
    public long Discarded => Volatile.Read(ref _discarded);

    /// <summary>Room for input was made after <see cref="Write"/> had refused some. Raised on a vCPU's thread: do not wait in it.</summary>
    public event Action? InputSpace;

    public void Connect(ISerialPort port) => _port = port;

    /// <summary>Sends a break to the guest.</summary>
    public void SendBreak() => _port?.SendBreak();

    /// <summary>Takes output of the guest, waiting up to <paramref name="timeout"/> for the first byte.</summary>
    /// <returns>The number of bytes; 0 when there were none in time, or the channel is closed and empty.</returns>
    public int Read(Span<byte> destination, TimeSpan timeout)
    {
        int count;
        bool wake;
        lock (_lock)
        {
            if (_output.Count == 0 && !_closed && timeout != TimeSpan.Zero)
            {
                Monitor.Wait(_lock, timeout);
            }

            count = 0;
            while (count < destination.Length && _output.Count > 0)
            {
                var piece = _output.Front;
                piece = piece[..Math.Min(piece.Length, destination.Length - count)];
                piece.CopyTo(destination[count..]);
                count += piece.Length;
                _output.Drop(piece.Length);
            }

            wake = _guestWaits && count > 0;
            _guestWaits &= !wake;
        }

        if (wake)
        {
            _port?.OutputReady();
        }

        return count;
    }

    /// <summary>Offers input to the guest.</summary>
    /// <returns>How much was taken; <see cref="InputSpace"/> follows if not all.</returns>
    public int Write(ReadOnlySpan<byte> data)
    {
        int taken;
        lock (_lock)
        {
            taken = _input.Push(data);
        }

        InputReady();
        return taken;
    }

    public int Send(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (_closed)
            {
                return data.Length;
            }

            if (DiscardWhenFull && _output.Free < data.Length)
            {
                int lost = Math.Min(data.Length - _output.Free, _output.Count);
                _output.Drop(lost);
                _discarded += lost;
            }

            int taken = _output.Push(data);
            _guestWaits |= taken < data.Length;
            if (taken > 0)
            {
                Monitor.PulseAll(_lock);
            }

            return taken;
        }
    }

    public void InputReady()
    {
        bool moved = false;
        Volatile.Write(ref _mayDeliver, true);
        // One delivery at a time keeps the bytes in order; who finds one in progress has left it the note to look again.
        while (Volatile.Read(ref _mayDeliver) && _delivery.TryEnter())
        {
            try
            {
                while (Interlocked.Exchange(ref _mayDeliver, false))
                {
                    moved |= DeliverInput();
                }
            }
            finally
            {
                _delivery.Exit();
            }
        }

        if (moved)
        {
            InputSpace?.Invoke();
        }
    }

    /// <summary>From now on output is thrown away and readers return at once.</summary>
    public void Dispose()
    {
        bool wake;
        lock (_lock)
        {
            _closed = true;
            wake = _guestWaits;
            _guestWaits = false;
            Monitor.PulseAll(_lock);
        }

        if (wake)
        {
            _port?.OutputReady();
        }
    }

    /// <summary>Moves input into the port until one of them has no more; the port is called without the buffers' lock.</summary>
    private bool DeliverInput()
    {
        bool moved = false;
        Span<byte> piece = stackalloc byte[64];
        while (_port is { } port)
        {
            int count;
            lock (_lock)
            {
                var front = _input.Front;
                count = Math.Min(front.Length, piece.Length);
                front[..count].CopyTo(piece);
            }

            int taken = count == 0 ? 0 : port.Deliver(piece[..count]);
            if (taken == 0)
            {
                break;
            }

            lock (_lock)
            {
                _input.Drop(taken);
            }

            moved = true;
        }

        return moved;
    }
}
