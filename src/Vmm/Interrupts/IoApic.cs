namespace WebVm.Vmm.Interrupts;

/// <summary>The I/O APIC (82093AA data sheet): 24 pins, each with a redirection entry that makes interrupt messages of it.</summary>
/// <param name="send">Delivers a message; false when no local APIC accepted it. Called with the chip locked.</param>
public sealed class IoApic(Func<ApicMessage, bool> send)
{
    public const int PinCount = 24;

    /// <summary>Bytes of the register window.</summary>
    public const int WindowSize = 0x1000;

    private const int RegisterSelect = 0x00;
    private const int RegisterWindow = 0x10;

    private const byte IdRegister = 0;
    private const byte VersionRegister = 1;
    private const byte ArbitrationRegister = 2;
    private const byte FirstRedirection = 0x10;

    private const ulong Logical = 1 << 11;
    private const ulong DeliveryStatus = 1 << 12;
    private const ulong RemoteRequest = 1 << 14;
    private const ulong LevelTriggered = 1 << 15;
    private const ulong Masked = 1 << 16;
    private const ulong ReadOnly = DeliveryStatus | RemoteRequest;
    private const ulong Writable = 0xff00_0000_0001_afff;

    private readonly Lock _lock = new();
    private readonly ulong[] _redirection = [.. Enumerable.Repeat(Masked, PinCount)];
    private byte _id;
    private byte _index;

    /// <summary>The pins that are asserted, whatever their polarity: devices' lines, not the chip's state.</summary>
    private uint _levels;

    public void SetLine(int pin, bool asserted)
    {
        if ((uint)pin >= PinCount)
        {
            return;
        }

        uint bit = 1u << pin;
        lock (_lock)
        {
            bool rises = asserted && (_levels & bit) == 0;
            _levels = asserted ? _levels | bit : _levels & ~bit;

            // An edge on a masked pin is lost (82093AA §3.2.4, interrupt mask).
            if ((_redirection[pin] & LevelTriggered) != 0 ? asserted : rises)
            {
                Service(pin);
            }
        }
    }

    /// <summary>A local APIC has ended a level-triggered interrupt with that vector: pins still asserted ask again.</summary>
    public void EndOfInterrupt(byte vector)
    {
        lock (_lock)
        {
            for (int pin = 0; pin < PinCount; pin++)
            {
                ref ulong entry = ref _redirection[pin];
                if ((byte)entry == vector && (entry & (RemoteRequest | LevelTriggered)) == (RemoteRequest | LevelTriggered))
                {
                    entry &= ~RemoteRequest;
                    ServiceLevel(pin);
                }
            }
        }
    }

    /// <summary>Reads the register window; only the select register and the data window are there.</summary>
    /// <param name="offset">Bytes from the window's start; the chip decodes bits 7:0.</param>
    public ulong Read(int offset, int size)
    {
        lock (_lock)
        {
            uint value = (offset & 0xf0) switch
            {
                RegisterSelect => _index,
                RegisterWindow => ReadRegister(),
                _ => 0,
            };
            int within = offset & 0xf;
            if (within >= sizeof(uint))
            {
                return 0;
            }

            value >>= within * 8;
            return size >= sizeof(uint) ? value : value & ((1u << (size * 8)) - 1);
        }
    }

    /// <summary>Writes the register window; the data window only takes whole registers.</summary>
    public void Write(int offset, int size, ulong value)
    {
        lock (_lock)
        {
            switch (offset & 0xff)
            {
                case RegisterSelect:
                    _index = (byte)value;
                    break;
                case RegisterWindow when size >= sizeof(uint):
                    WriteRegister((uint)value);
                    break;
            }
        }
    }

    /// <summary>Power-on state: every pin masked. The levels of the lines are the devices' and stay.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            Array.Fill(_redirection, Masked);
            _id = 0;
            _index = 0;
        }
    }

    internal IoApicState Save()
    {
        lock (_lock)
        {
            uint request = 0;
            for (int pin = 0; pin < PinCount; pin++)
            {
                request |= (_redirection[pin] & LevelTriggered) != 0 ? _levels & (1u << pin) : 0;
            }

            return new IoApicState { Id = _id, Index = _index, InterruptRequest = request, Redirection = [.. _redirection] };
        }
    }

    /// <param name="levels">Pins known to be asserted, besides those in the state: their edge is over.</param>
    /// <exception cref="InvalidDataException">Not 24 redirection entries.</exception>
    internal void Load(IoApicState state, uint levels)
    {
        if (state.Redirection.Count != PinCount)
        {
            throw new InvalidDataException($"An I/O APIC has {PinCount} redirection entries, not {state.Redirection.Count}.");
        }

        lock (_lock)
        {
            _id = (byte)(state.Id & 0xf);
            _index = state.Index;
            for (int pin = 0; pin < PinCount; pin++)
            {
                _redirection[pin] = state.Redirection[pin] & (Writable | RemoteRequest);
            }

            _levels = (state.InterruptRequest | levels) & ((1u << PinCount) - 1);
            for (int pin = 0; pin < PinCount; pin++)
            {
                bool undeliveredEdge = (_redirection[pin] & LevelTriggered) == 0 && (state.InterruptRequest & (1u << pin)) != 0;
                if (undeliveredEdge)
                {
                    Service(pin);
                }
                else
                {
                    ServiceLevel(pin);
                }
            }
        }
    }

    private uint ReadRegister()
    {
        switch (_index)
        {
            case IdRegister or ArbitrationRegister:
                return (uint)_id << 24;
            case VersionRegister:
                return ((PinCount - 1) << 16) | 0x11;
            default:
                int pin = (_index - FirstRedirection) >> 1;
                if (_index < FirstRedirection || pin >= PinCount)
                {
                    return 0;
                }

                return (_index & 1) != 0 ? (uint)(_redirection[pin] >> 32) : (uint)_redirection[pin];
        }
    }

    private void WriteRegister(uint value)
    {
        if (_index == IdRegister)
        {
            _id = (byte)((value >> 24) & 0xf);
            return;
        }

        int pin = (_index - FirstRedirection) >> 1;
        if (_index < FirstRedirection || pin >= PinCount)
        {
            return;
        }

        ref ulong entry = ref _redirection[pin];
        if ((_index & 1) != 0)
        {
            entry = (entry & 0xffff_ffff) | (((ulong)value << 32) & Writable);
        }
        else
        {
            entry = (entry & (0xffff_ffff_0000_0000 | ReadOnly)) | (value & Writable);
            if ((entry & LevelTriggered) == 0)
            {
                // Undocumented, and how Linux clears a stuck remote IRR of a chip without EOI register.
                entry &= ~RemoteRequest;
            }
        }

        ServiceLevel(pin);
    }

    private void ServiceLevel(int pin)
    {
        if ((_redirection[pin] & LevelTriggered) != 0 && (_levels & (1u << pin)) != 0)
        {
            Service(pin);
        }
    }

    private void Service(int pin)
    {
        ulong entry = _redirection[pin];
        if ((entry & (Masked | RemoteRequest)) != 0)
        {
            return;
        }

        bool level = (entry & LevelTriggered) != 0;
        var message = new ApicMessage(
            ApicMessage.WidenDestination((byte)(entry >> 56)),
            (entry & Logical) != 0,
            (ApicDeliveryMode)((entry >> 8) & 7),
            (byte)entry,
            level);
        if (send(message) && level)
        {
            _redirection[pin] |= RemoteRequest;
        }
    }
}
