namespace WebVm.Vmm.Interrupts;

/// <summary>
/// The two 8259A of a PC, the secondary one cascaded into pin 2 of the primary. Any thread may set lines and acknowledge.
/// </summary>
/// <param name="outputChanged">INTR of the primary chip. Called in order, with the chips locked.</param>
public sealed class PicPair(Action<bool> outputChanged)
{
    private const int CascadePin = 2;

    private readonly Lock _lock = new();

    // The timer, the keyboard, the cascade, the RTC and the FPU are edges for ever (ICH9 data sheet §13.4.10, §13.4.11).
    private readonly Pic _primary = new(levelCapable: 0xf8, CascadePin);
    private readonly Pic _secondary = new(levelCapable: 0xde, cascadePin: -1);
    private bool _output;

    /// <summary>Sets the level of ISA interrupt 0 to 15; 2 is the cascade's own and ignored.</summary>
    public void SetLine(int irq, bool asserted)
    {
        lock (_lock)
        {
            if (irq >= 8)
            {
                _secondary.SetLevel(irq - 8, asserted);
            }
            else if (irq != CascadePin)
            {
                _primary.SetLevel(irq, asserted);
            }

            Update();
        }
    }

    /// <summary>The processor's interrupt acknowledge cycle: the vector, or -1 when no chip asks any more.</summary>
    public int Acknowledge()
    {
        lock (_lock)
        {
            int pin = _primary.Pending;
            if (pin < 0)
            {
                return -1;
            }

            int vector = _primary.VectorBase + pin;
            _primary.Acknowledge(pin);
            if (pin == CascadePin)
            {
                // The secondary's request went away meanwhile: the data sheet's spurious level 7.
                int cascaded = _secondary.Pending;
                vector = _secondary.VectorBase + (cascaded < 0 ? 7 : cascaded);
                if (cascaded >= 0)
                {
                    _secondary.Acknowledge(cascaded);
                }
            }

            Update();
            return vector;
        }
    }

    /// <param name="secondary">Ports 0xa0 and 0xa1 instead of 0x20 and 0x21.</param>
    /// <param name="offset">0 or 1.</param>
    public byte Read(bool secondary, int offset)
    {
        lock (_lock)
        {
            byte value = Chip(secondary).Read(offset & 1);
            Update();
            return value;
        }
    }

    public void Write(bool secondary, int offset, byte value)
    {
        lock (_lock)
        {
            Chip(secondary).Write(offset & 1, value);
            Update();
        }
    }

    /// <summary>Edge/level control register, ports 0x4d0 and 0x4d1.</summary>
    public byte ReadTrigger(bool secondary)
    {
        lock (_lock)
        {
            return Chip(secondary).ReadTrigger();
        }
    }

    public void WriteTrigger(bool secondary, byte value)
    {
        lock (_lock)
        {
            Chip(secondary).WriteTrigger(value);
            Update();
        }
    }

    /// <summary>Power-on state. The levels of the lines are the devices' and stay.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _primary.Reset();
            _secondary.Reset();
            Update();
        }
    }

    internal (PicState Primary, PicState Secondary) Save()
    {
        lock (_lock)
        {
            return (_primary.Save(), _secondary.Save());
        }
    }

    internal void Load(PicState primary, PicState secondary)
    {
        lock (_lock)
        {
            _primary.Load(primary);
            _secondary.Load(secondary);
            Update();
        }
    }

    private Pic Chip(bool secondary) => secondary ? _secondary : _primary;

    private void Update()
    {
        _primary.SetLevel(CascadePin, _secondary.Pending >= 0);
        bool output = _primary.Pending >= 0;
        if (output != _output)
        {
            _output = output;
            outputChanged(output);
        }
    }
}
