using WebVm.Vmm.Devices.Serial;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// The far end of a serial port, for any number of readers and writers on the host. Output goes to a log that readers follow; the
/// guest waits for one of them only, the one that <see cref="HoldGuestFor"/> names.
/// </summary>
public sealed class SerialConsole : ISerialBackend
{
    private const int InputCapacity = 64 * 1024;

    private readonly object _input = new();
    private readonly Lock _delivery = new();
    private readonly byte[] _pending = new byte[InputCapacity];
    private int _pendingStart;
    private int _pendingCount;
    private ISerialPort? _port;
    private bool _mayDeliver;
    private bool _guestWaits;
    private long _reader = -1;

    public SerialLog Log { get; } = new();

    /// <summary>Input that was refused may be offered again. Raised on a vCPU's thread; handlers return at once.</summary>
    public event Action? InputSpace;

    /// <summary>The guest is held back rather than that the log runs over a reader at this offset; -1 for no such reader.</summary>
    public void HoldGuestFor(long offset)
    {
        Volatile.Write(ref _reader, offset);
        if (Volatile.Read(ref _guestWaits) && Room() > 0)
        {
            Volatile.Write(ref _guestWaits, false);
            _port?.OutputReady();
        }
    }

    /// <summary>Offers input to the guest.</summary>
    /// <returns>Bytes taken; <see cref="InputSpace"/> follows if not all.</returns>
    public int Write(ReadOnlySpan<byte> data)
    {
        int taken;
        lock (_input)
        {
            taken = Math.Min(data.Length, InputCapacity - _pendingCount);
            for (int i = 0; i < taken; i++)
            {
                _pending[(_pendingStart + _pendingCount + i) % InputCapacity] = data[i];
            }

            _pendingCount += taken;
        }

        InputReady();
        return taken;
    }

    public void Connect(ISerialPort port) => _port = port;

    public int Send(ReadOnlySpan<byte> data)
    {
        int taken = (int)Math.Min(data.Length, Room());
        if (taken < data.Length)
        {
            // The note is left first, so that a reader who moves on in between sees it and calls OutputReady.
            Volatile.Write(ref _guestWaits, true);
            taken = (int)Math.Min(data.Length, Room());
        }

        if (taken > 0)
        {
            Log.Append(data[..taken]);
        }

        return taken;
    }

    public void InputReady()
    {
        bool moved = false;
        Volatile.Write(ref _mayDeliver, true);
        // One delivery at a time keeps bytes in order; who finds one in progress has left it the note to look again.
        while (Volatile.Read(ref _mayDeliver) && _delivery.TryEnter())
        {
            try
            {
                while (Interlocked.Exchange(ref _mayDeliver, false))
                {
                    moved |= Deliver();
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

    private long Room() =>
        Volatile.Read(ref _reader) is >= 0 and var reader ? Math.Max(0, SerialLog.Capacity - (Log.End - reader)) : long.MaxValue;

    private bool Deliver()
    {
        bool moved = false;
        Span<byte> piece = stackalloc byte[64];
        while (_port is { } port)
        {
            int count;
            lock (_input)
            {
                count = Math.Min(_pendingCount, piece.Length);
                for (int i = 0; i < count; i++)
                {
                    piece[i] = _pending[(_pendingStart + i) % InputCapacity];
                }
            }

            int taken = count == 0 ? 0 : port.Deliver(piece[..count]);
            if (taken == 0)
            {
                break;
            }

            lock (_input)
            {
                _pendingStart = (_pendingStart + taken) % InputCapacity;
                _pendingCount -= taken;
            }

            moved = true;
        }

        return moved;
    }
}
