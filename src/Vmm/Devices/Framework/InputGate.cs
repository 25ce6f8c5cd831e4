namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// A device that takes input from the host. Each of the ways in passes its gate first, and does nothing while that is closed.
/// </summary>
public interface IHostInput
{
    /// <summary>The same at every call.</summary>
    InputGate Input { get; }
}

/// <summary>
/// The way of the host's input into a device: open while the device is started. DeviceNode alone opens and closes it. Entering neither
/// waits nor allocates.
/// </summary>
public sealed class InputGate
{
    private const int Closed = int.MinValue;

    /// <summary>How many are inside; with <see cref="Closed"/>, those that are still to leave.</summary>
    private int _state = Closed;

    /// <summary>Enters, if the gate is open. What is inside never waits for the machine.</summary>
    public Entry Enter()
    {
        int state = Volatile.Read(ref _state);
        while (state >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _state, state + 1, state);
            if (seen == state)
            {
                return new Entry(this);
            }

            state = seen;
        }

        return default;
    }

    internal void Open() => Interlocked.And(ref _state, ~Closed);

    /// <summary>When this returns nobody is inside, and nobody enters.</summary>
    internal void Close()
    {
        Interlocked.Or(ref _state, Closed);
        var spin = default(SpinWait);
        while (Volatile.Read(ref _state) != Closed)
        {
            spin.SpinOnce();
        }
    }

    /// <summary>One that entered, or was refused; disposed when it leaves.</summary>
    public readonly ref struct Entry
    {
        private readonly InputGate? _gate;

        internal Entry(InputGate gate) => _gate = gate;

        /// <summary>Whether the gate was open.</summary>
        public bool Granted => _gate is not null;

        public void Dispose()
        {
            if (_gate is not null)
            {
                Interlocked.Decrement(ref _gate._state);
            }
        }
    }
}
