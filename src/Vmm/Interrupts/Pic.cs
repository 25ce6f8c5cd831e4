namespace WebVm.Vmm.Interrupts;

/// <summary>
/// One 8259A (Intel 8259A data sheet) with the edge/level control register of a PC chipset. <see cref="PicPair"/> owns the lock.
/// </summary>
internal sealed class Pic
{
    private readonly byte _levelCapable;

    /// <summary>Pins that follow their level whatever ELCR says: the cascade.</summary>
    private readonly byte _cascade;

    private byte _request;
    private byte _inService;
    private byte _mask;
    private byte _levels;
    private byte _levelTriggered;
    private byte _vectorBase;
    private byte _highestPin;
    private byte _initializationStep;
    private bool _readInService;
    private bool _poll;
    private bool _specialMask;
    private bool _automaticEnd;
    private bool _rotateOnAutomaticEnd;
    private bool _specialFullyNested;
    private bool _expectsFourthWord;
    private bool _single;

    /// <param name="levelCapable">Pins that ELCR may make level triggered.</param>
    /// <param name="cascadePin">Pin where another 8259A is wired, or -1.</param>
    public Pic(byte levelCapable, int cascadePin)
    {
        _levelCapable = levelCapable;
        _cascade = (byte)(cascadePin < 0 ? 0 : 1 << cascadePin);
    }

    public byte VectorBase => _vectorBase;

    /// <summary>The pin that is to be served next, or -1. INT is high while there is one.</summary>
    public int Pending
    {
        get
        {
            int request = HighestPriority(_request & ~_mask);
            if (request == 8)
            {
                return -1;
            }

            // Special mask mode lets lower priorities in past a masked level; special fully nested mode lets the cascaded chip in again.
            int service = _inService;
            if (_specialMask)
            {
                service &= ~_mask;
            }

            if (_specialFullyNested)
            {
                service &= ~_cascade;
            }

            return request < HighestPriority(service) ? (request + _highestPin) & 7 : -1;
        }
    }

    private byte FollowsLevel => (byte)(_levelTriggered | _cascade);

    public void Reset()
    {
        _levelTriggered = 0;
        _vectorBase = 0;
        _inService = 0;
        _request = 0;
        _automaticEnd = _rotateOnAutomaticEnd = _specialFullyNested = _poll = false;
        Initialize(0);
        _initializationStep = 0;
    }

    public void SetLevel(int pin, bool asserted)
    {
        byte bit = (byte)(1 << pin);
        bool rises = asserted && (_levels & bit) == 0;
        _levels = (byte)(asserted ? _levels | bit : _levels & ~bit);
        if ((FollowsLevel & bit) != 0)
        {
            _request = (byte)(asserted ? _request | bit : _request & ~bit);
        }
        else if (rises)
        {
            _request |= bit;
        }
    }

    /// <summary>The interrupt acknowledge cycle for the pin that <see cref="Pending"/> named.</summary>
    public void Acknowledge(int pin)
    {
        byte bit = (byte)(1 << pin);
        if ((FollowsLevel & bit) == 0)
        {
            _request &= (byte)~bit;
        }

        if (!_automaticEnd)
        {
            _inService |= bit;
        }
        else if (_rotateOnAutomaticEnd)
        {
            _highestPin = (byte)((pin + 1) & 7);
        }
    }

    /// <summary>Reads A0 = <paramref name="offset"/>; a poll acknowledges.</summary>
    public byte Read(int offset)
    {
        if (_poll)
        {
            _poll = false;
            int pin = Pending;
            if (pin < 0)
            {
                return 0;
            }

            Acknowledge(pin);
            return (byte)(0x80 | pin);
        }

        return offset != 0 ? _mask : _readInService ? _inService : _request;
    }

    public void Write(int offset, byte value)
    {
        if (offset != 0)
        {
            WriteData(value);
        }
        else if ((value & 0x10) != 0)
        {
            Initialize(value);
        }
        else if ((value & 0x08) != 0)
        {
            WriteOperationWord3(value);
        }
        else
        {
            WriteOperationWord2(value);
        }
    }

    public byte ReadTrigger() => _levelTriggered;

    public void WriteTrigger(byte value)
    {
        _levelTriggered = (byte)(value & _levelCapable);
        _request = (byte)((_request & ~_levelTriggered) | (_levels & _levelTriggered));
    }

    public PicState Save() => new()
    {
        InterruptRequest = _request,
        InService = _inService,
        Mask = _mask,
        LastLevels = _levels,
        LevelTriggered = _levelTriggered,
        VectorBase = _vectorBase,
        PriorityAdd = _highestPin,
        InitializationStep = _initializationStep,
        ReadInService = _readInService,
        Poll = _poll,
        SpecialMask = _specialMask,
        AutoEndOfInterrupt = _automaticEnd,
        RotateOnAutoEndOfInterrupt = _rotateOnAutomaticEnd,
        SpecialFullyNested = _specialFullyNested,
        ExpectsFourthWord = _expectsFourthWord,
    };

    public void Load(PicState state)
    {
        _request = state.InterruptRequest;
        _inService = state.InService;
        _mask = state.Mask;
        _levels = state.LastLevels;
        _levelTriggered = (byte)(state.LevelTriggered & _levelCapable);
        _vectorBase = (byte)(state.VectorBase & 0xf8);
        _highestPin = (byte)(state.PriorityAdd & 7);
        _initializationStep = state.InitializationStep is >= 2 and <= 4 ? state.InitializationStep : (byte)0;
        _readInService = state.ReadInService;
        _poll = state.Poll;
        _specialMask = state.SpecialMask;
        _automaticEnd = state.AutoEndOfInterrupt;
        _rotateOnAutomaticEnd = state.RotateOnAutoEndOfInterrupt;
        _specialFullyNested = state.SpecialFullyNested;
        _expectsFourthWord = state.ExpectsFourthWord;
    }

    /// <summary>Distance from the highest priority of the first set bit, 8 if there is none.</summary>
    private int HighestPriority(int pins)
    {
        if (pins == 0)
        {
            return 8;
        }

        // Rotated so that the pin with the highest priority is bit 0.
        return System.Numerics.BitOperations.TrailingZeroCount(((pins >> _highestPin) | (pins << (8 - _highestPin))) & 0xff);
    }

    /// <summary>ICW1: clears masks and requests; an edge must come anew.</summary>
    private void Initialize(byte word)
    {
        _request = (byte)(_levels & FollowsLevel);
        _inService = 0;
        _mask = 0;
        _highestPin = 0;
        _specialMask = false;
        _readInService = false;
        _poll = false;
        _single = (word & 0x02) != 0;
        _expectsFourthWord = (word & 0x01) != 0;
        if (!_expectsFourthWord)
        {
            _specialFullyNested = false;
            _automaticEnd = false;
        }

        _initializationStep = 2;
    }

    private void WriteData(byte value)
    {
        switch (_initializationStep)
        {
            case 2:
                _vectorBase = (byte)(value & 0xf8);
                _initializationStep = !_single ? (byte)3 : _expectsFourthWord ? (byte)4 : (byte)0;
                break;
            case 3:
                // ICW3 tells how the chips are wired; here they always are.
                _initializationStep = _expectsFourthWord ? (byte)4 : (byte)0;
                break;
            case 4:
                _specialFullyNested = (value & 0x10) != 0;
                _automaticEnd = (value & 0x02) != 0;
                _initializationStep = 0;
                break;
            default:
                _mask = value;
                break;
        }
    }

    private void WriteOperationWord2(byte value)
    {
        int pin = value & 7;
        switch (value >> 5)
        {
            case 0:
                _rotateOnAutomaticEnd = false;
                break;
            case 4:
                _rotateOnAutomaticEnd = true;
                break;
            case 1:
                EndHighest(rotate: false);
                break;
            case 5:
                EndHighest(rotate: true);
                break;
            case 3:
                _inService &= (byte)~(1 << pin);
                break;
            case 7:
                _inService &= (byte)~(1 << pin);
                _highestPin = (byte)((pin + 1) & 7);
                break;
            case 6:
                _highestPin = (byte)((pin + 1) & 7);
                break;
        }
    }

    /// <summary>
    /// Non-specific end of interrupt: of the pin in service with the highest priority, masked ones left out in special mask mode.
    /// </summary>
    private void EndHighest(bool rotate)
    {
        int priority = HighestPriority(_specialMask ? _inService & ~_mask : _inService);
        if (priority < 8)
        {
            int pin = (priority + _highestPin) & 7;
            _inService &= (byte)~(1 << pin);
            if (rotate)
            {
                _highestPin = (byte)((pin + 1) & 7);
            }
        }
    }

    private void WriteOperationWord3(byte value)
    {
        _poll = (value & 0x04) != 0;
        if ((value & 0x02) != 0)
        {
            _readInService = (value & 0x01) != 0;
        }

        if ((value & 0x40) != 0)
        {
            _specialMask = (value & 0x20) != 0;
        }
    }
}
