using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Consoles;

namespace WebVm.Vmm.Control;

/// <summary>
/// What waits to be sent to one client: a bounded queue of messages, and the serial output from where the client is, taken from the
/// port's log only when there is nothing else to send. So a slow client costs a bounded amount of memory and never holds up the guest.
/// </summary>
internal sealed class ControlOutbox(SerialLog? serial)
{
    private readonly object _gate = new();
    private readonly Queue<Entry> _entries = new();
    private readonly byte[] _chunk = new byte[ControlProtocol.MaximumSerialChunk];
    private long _serialOffset = -1;
    private bool _sending;
    private bool _closed;
    private int _replies;

    public readonly record struct Entry(ControlMessage Message, FileDescriptor[] Descriptors);

    /// <summary>The client looks at the display. Used by the client's own thread.</summary>
    public bool DisplayAttached { get; set; }

    /// <summary>Whether a message or serial output waits or is being sent.</summary>
    public bool Pending
    {
        get
        {
            lock (_gate)
            {
                return !_closed
                    && (_entries.Count > 0 || _sending || (_serialOffset >= 0 && serial is not null && serial.End > _serialOffset));
            }
        }
    }

    /// <summary>
    /// Waits until the client has read enough of its replies to be given another: each may hold a megabyte and descriptors.
    /// False when it is gone.
    /// </summary>
    public bool WaitForRoom()
    {
        lock (_gate)
        {
            while (!_closed && _replies >= ControlProtocol.MaximumReplies)
            {
                Monitor.Wait(_gate);
            }

            return !_closed;
        }
    }

    /// <summary>False when the client is too far behind, or gone; the descriptors are closed then.</summary>
    public bool TryAdd(ControlMessage message, params FileDescriptor[] descriptors)
    {
        lock (_gate)
        {
            if (!_closed && _entries.Count < ControlProtocol.MaximumBacklog)
            {
                _entries.Enqueue(new Entry(message, descriptors));
                _replies += message.Id is null ? 0 : 1;
                Monitor.PulseAll(_gate);
                return true;
            }
        }

        foreach (var descriptor in descriptors)
        {
            descriptor.Dispose();
        }

        return false;
    }

    /// <summary>Sends serial output from this offset on; -1 for none.</summary>
    public void Subscribe(long offset)
    {
        lock (_gate)
        {
            _serialOffset = offset;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>There may be serial output to send.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for the next message to send; null when the outbox has been closed.</summary>
    public Entry? Take()
    {
        lock (_gate)
        {
            _sending = false;
            while (!_closed)
            {
                if (_entries.TryDequeue(out var entry))
                {
                    _sending = true;
                    if (entry.Message.Id is not null)
                    {
                        _replies--;
                        Monitor.PulseAll(_gate);
                    }

                    return entry;
                }

                if (_serialOffset >= 0 && serial is not null && serial.Read(ref _serialOffset, _chunk) is > 0 and var count)
                {
                    var data = new SerialData(_serialOffset, _chunk[..count]);
                    _serialOffset += count;
                    _sending = true;
                    return new Entry(ControlEvents.Serial(data), []);
                }

                Monitor.Wait(_gate);
            }

            return null;
        }
    }

    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
            while (_entries.TryDequeue(out var entry))
            {
                foreach (var descriptor in entry.Descriptors)
                {
                    descriptor.Dispose();
                }
            }
        }
    }
}
