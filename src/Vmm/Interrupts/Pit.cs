using WebVm.Vmm.Time;

namespace WebVm.Vmm.Interrupts;

/// <summary>
/// The 8254 of a PC: channel 0 makes ticks, channel 2 is gated and read through port 0x61. Any thread may access it.
/// </summary>
/// <remarks>
/// Ticks that could not be made in time follow at most at twice their rate, until none is owed; what is owed beyond
/// <see cref="LongestBacklog"/> is dropped. So a guest that counts ticks keeps its time through a short stall of the host and is not
/// flooded after a long one.
/// </remarks>
public sealed class Pit : IDisposable
{
    /// <summary>Clock of the counters, in hertz.</summary>
    public const int Frequency = 1_193_182;

    private const int ChannelCount = 3;
    private const int SpeakerChannel = 2;

    /// <summary>Nanoseconds.</summary>
    private const long LongestBacklog = 250_000_000;

    /// <summary>
    /// Ticks closer than this, in nanoseconds, merge: no guest can take them apart, and the timer thread has other timers.
    /// </summary>
    private const long ShortestInterval = 50_000;

    private readonly Lock _lock = new();
    private readonly PitChannel[] _channels = [new(), new(), new()];
    private readonly Action<bool> _output;
    private readonly VirtualClock _clock;
    private readonly IVirtualTimer _timer;
    private bool _speaker;

    /// <summary>Pulse of channel 0 at which its output rises next, or -1.</summary>
    private long _nextRise = -1;
    private volatile bool _disconnected;

    /// <param name="output">Channel 0's output, as pulses. Called without the lock.</param>
    public Pit(ITimerService timers, Action<bool> output)
    {
        _output = output;
        _clock = timers.Clock;
        _timer = timers.CreateTimer(Tick);
    }

    /// <summary>Channel 0's output is not wired to the interrupt controllers (HPET legacy replacement).</summary>
    public bool Disconnected
    {
        get => _disconnected;
        set => _disconnected = value;
    }

    /// <param name="offset">0 to 2 are the counters; the control word at 3 cannot be read.</param>
    public byte Read(int offset)
    {
        if ((uint)offset >= ChannelCount)
        {
            return 0;
        }

        lock (_lock)
        {
            return _channels[offset].Read(_clock.Now);
        }
    }

    /// <param name="offset">0 to 2 are the counters, 3 is the control word.</param>
    public void Write(int offset, byte value)
    {
        lock (_lock)
        {
            long now = _clock.Now;
            if ((uint)offset < ChannelCount)
            {
                if (_channels[offset].Write(value, now) && offset == 0)
                {
                    Schedule(now);
                }
            }
            else if (value >> 6 == 3)
            {
                ReadBack(value, now);
            }
            else if (_channels[value >> 6].Control(value, now) && value >> 6 == 0)
            {
                Schedule(now);
            }
        }
    }

    /// <summary>Port 0x61: gate, speaker, memory refresh toggle and the output of channel 2.</summary>
    public byte ReadSystemControl()
    {
        lock (_lock)
        {
            long now = _clock.Now;
            var channel = _channels[SpeakerChannel];

            // Refresh once changed every 15 µs, and old code measures time by it.
            bool refresh = (now / 15_085 & 1) != 0;
            return (byte)((channel.Gate ? 1 : 0) | (_speaker ? 2 : 0) | (refresh ? 0x10 : 0) | (channel.OutputAt(now) ? 0x20 : 0));
        }
    }

    public void WriteSystemControl(byte value)
    {
        lock (_lock)
        {
            _speaker = (value & 2) != 0;
            _channels[SpeakerChannel].SetGate((value & 1) != 0, _clock.Now);
        }
    }

    /// <summary>Power-on state: no channel counts until it is given a count.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            for (int i = 0; i < ChannelCount; i++)
            {
                _channels[i].Load(new PitChannelState { Mode = 3, NullCount = true, Gate = i != SpeakerChannel });
            }

            _speaker = false;
            _disconnected = false;
            Schedule(_clock.Now);
        }
    }

    public void Dispose() => _timer.Dispose();

    internal PitState Save()
    {
        lock (_lock)
        {
            return new PitState { Channels = [.. _channels.Select(channel => channel.Save())], SpeakerDataOn = _speaker };
        }
    }

    /// <exception cref="InvalidDataException">Not three channels.</exception>
    internal void Load(PitState state)
    {
        if (state.Channels.Count != ChannelCount)
        {
            throw new InvalidDataException($"A PIT has {ChannelCount} channels, not {state.Channels.Count}.");
        }

        lock (_lock)
        {
            for (int i = 0; i < ChannelCount; i++)
            {
                _channels[i].Load(state.Channels[i]);
            }

            _speaker = state.SpeakerDataOn;
            Schedule(_clock.Now);
        }
    }

    private void ReadBack(byte word, long now)
    {
        for (int i = 0; i < ChannelCount; i++)
        {
            if ((word & (2 << i)) != 0)
            {
                if ((word & 0x20) == 0)
                {
                    _channels[i].LatchCount(now);
                }

                if ((word & 0x10) == 0)
                {
                    _channels[i].LatchStatus(now);
                }
            }
        }
    }

    private void Schedule(long now)
    {
        var channel = _channels[0];
        _nextRise = channel.NextRise(channel.TickAt(now));
        if (_nextRise < 0)
        {
            _timer.Cancel();
        }
        else
        {
            _timer.Arm(Math.Max(channel.TimeOf(_nextRise), now + (channel.IsPeriodic ? ShortestInterval : 0)));
        }
    }

    private void Tick()
    {
        lock (_lock)
        {
            long now = _clock.Now;
            var channel = _channels[0];
            if (_nextRise < 0 || now < channel.TimeOf(_nextRise))
            {
                // The guest has programmed the channel while this call was on its way.
                return;
            }

            if (now - channel.TimeOf(_nextRise) > LongestBacklog || Period(channel) < ShortestInterval)
            {
                _nextRise = channel.TickAt(now);
            }

            _nextRise = channel.NextRise(_nextRise);
            if (_nextRise >= 0)
            {
                _timer.Arm(Math.Max(channel.TimeOf(_nextRise), now + Math.Max(Period(channel) / 2, ShortestInterval)));
            }
        }

        if (!_disconnected)
        {
            _output(true);
            _output(false);
        }
    }

    private static long Period(PitChannel channel) => (long)channel.Count * 1_000_000_000 / Frequency;
}
