using R = WebVm.Vmm.Interrupts.LocalApicRegister;

namespace WebVm.Vmm.Interrupts;

/// <summary>The registers as software reaches them: the xAPIC page, the x2APIC MSRs, IA32_APIC_BASE and IA32_TSC_DEADLINE.</summary>
public sealed partial class LocalApic
{
    public const uint MsrApicBase = 0x1b;
    public const uint MsrTscDeadline = 0x6e0;
    public const uint MsrX2Apic = 0x800;
    public const uint MsrX2ApicLast = 0x8ff;

    /// <summary>Physical address width; higher bits of IA32_APIC_BASE are reserved.</summary>
    public int PhysicalAddressBits { get; init; } = 40;

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong Base => _base;

    /// <summary>Where the register page lies in guest physical memory, or null while there is none (disabled, or x2APIC mode).</summary>
    public Memory.GuestPhysicalAddress? Page =>
        (_base & (BaseEnable | BaseX2ApicEnable)) == BaseEnable ? new(_base & ~0xfffUL) : null;

    /// <summary>IA32_TSC_DEADLINE.</summary>
    public ulong TscDeadline => _timer.TscDeadline;

    /// <summary>
    /// Writes IA32_APIC_BASE. False asks for #GP: reserved bits, or a change of mode that SDM Vol. 3A §11.12.5 does not know.
    /// <see cref="Page"/> may have moved.
    /// </summary>
    public bool TrySetBase(ulong value)
    {
        const ulong Mode = BaseEnable | BaseX2ApicEnable;
        ulong reserved = ~((1UL << PhysicalAddressBits) - 1) | 0x2ff;
        if ((value & reserved) != 0)
        {
            return false;
        }

        ulong from = _base & Mode;
        ulong to = value & Mode;
        if (to == BaseX2ApicEnable || (from == Mode && to == BaseEnable) || (from == 0 && to == Mode))
        {
            return false;
        }

        _base = value;
        if (to == 0 && from != 0)
        {
            // Switched off it forgets everything (SDM Vol. 3A §11.4.3).
            Init();
        }
        else if (to != from)
        {
            _registers[R.InterruptCommandHigh / 4] = 0;
        }

        SignalIfPending();
        return true;
    }

    /// <summary>
    /// Reads an APIC MSR: <see cref="MsrApicBase"/>, <see cref="MsrTscDeadline"/> or <see cref="MsrX2Apic"/> to
    /// <see cref="MsrX2ApicLast"/>. False asks for #GP.
    /// </summary>
    public bool TryReadMsr(uint msr, out ulong value)
    {
        value = 0;
        switch (msr)
        {
            case MsrApicBase:
                value = _base;
                return true;
            case MsrTscDeadline:
                value = _timer.TscDeadline;
                return true;
            case < MsrX2Apic or > MsrX2ApicLast:
                return false;
        }

        int offset = (int)(msr - MsrX2Apic) << 4;
        if (!IsX2Apic || offset is R.EndOfInterrupt or R.ArbitrationPriority or R.RemoteRead or R.DestinationFormat
            or R.InterruptCommandHigh or R.SelfIpi || !TryRead(offset, out uint low))
        {
            return false;
        }

        value = offset == R.InterruptCommand ? low | ((ulong)_registers[R.InterruptCommandHigh / 4] << 32) : low;
        return true;
    }

    /// <summary>Writes an APIC MSR, as <see cref="TryReadMsr"/> reads one. False asks for #GP; nothing has changed then.</summary>
    public bool TryWriteMsr(uint msr, ulong value)
    {
        switch (msr)
        {
            case MsrApicBase:
                return TrySetBase(value);
            case MsrTscDeadline:
                _timer.SetTscDeadline(value, value == 0 || !_timer.CountsTsc ? 0 : _owner.ClockAtTsc(value));
                return true;
            case < MsrX2Apic or > MsrX2ApicLast:
                return false;
        }

        int offset = (int)(msr - MsrX2Apic) << 4;
        if (!IsX2Apic)
        {
            return false;
        }

        if (offset == R.InterruptCommand)
        {
            // Bit 12, delivery status elsewhere, is ignored rather than refused: guests write back what another mode let them read.
            const ulong Reserved = 0xfff3_2000;
            if ((value & Reserved) != 0)
            {
                return false;
            }

            _registers[R.InterruptCommand / 4] = (uint)value & ~(1u << 12);
            _registers[R.InterruptCommandHigh / 4] = (uint)(value >> 32);
            SendInterProcessorInterrupt((uint)value, (uint)(value >> 32));
            return true;
        }

        return value <= uint.MaxValue && (value & X2ApicReserved(offset)) == 0 && TryWrite(offset, (uint)value);
    }

    /// <summary>The time stamp counter was written: its deadline falls at another moment now.</summary>
    public void TscAdjusted()
    {
        ulong deadline = _timer.TscDeadline;
        if (deadline != 0)
        {
            _timer.SetTscDeadline(deadline, _owner.ClockAtTsc(deadline));
        }
    }

    /// <summary>Reads the register page. Registers are 32 bits wide at multiples of 16; what lies between reads as 0.</summary>
    /// <param name="offset">0 to 0xfff.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    public ulong ReadMmio(int offset, int size)
    {
        int within = offset & 0xf;
        if (within >= sizeof(uint))
        {
            return 0;
        }

        if (!TryRead(offset & 0xff0, out uint value))
        {
            RecordError(ErrorStatus.IllegalRegisterAddress);
            return 0;
        }

        return (value >> (within * 8)) & (size >= sizeof(uint) ? uint.MaxValue : (1u << (size * 8)) - 1);
    }

    /// <summary>Writes the register page; only an aligned write of 32 bits or more means anything (SDM Vol. 3A §11.4.1).</summary>
    public void WriteMmio(int offset, int size, ulong value)
    {
        if ((offset & 0xf) == 0 && size >= sizeof(uint) && !TryWrite(offset, (uint)value))
        {
            RecordError(ErrorStatus.IllegalRegisterAddress);
        }
    }

    /// <summary>Bits of an x2APIC register whose setting is refused.</summary>
    private static uint X2ApicReserved(int offset) => offset switch
    {
        R.TaskPriority or R.SelfIpi => ~0xffu,
        R.EndOfInterrupt or R.ErrorStatus => ~0u,
        R.SpuriousVector => ~0x3ffu,
        R.DivideConfiguration => ~0xbu,

        // Delivery status and remote IRR are read-only, not reserved.
        >= R.LvtTimer and <= R.LvtError => ~(R.LvtWritable(offset) | (1u << 12) | (1u << 14)),
        _ => 0,
    };

    private bool TryRead(int offset, out uint value)
    {
        SynchronizeEnd();
        switch (offset)
        {
            case R.CurrentCount:
                value = _timer.CurrentCount;
                return true;
            case R.ArbitrationPriority:
                value = ProcessorPriority;
                return true;
            case R.Id:
                value = Id;
                return true;
            case R.LogicalDestination:
                value = LogicalId;
                return true;
            case R.Version or R.TaskPriority or R.ProcessorPriority or R.EndOfInterrupt or R.RemoteRead or R.DestinationFormat
                or R.SpuriousVector or R.ErrorStatus or R.InterruptCommand
                or R.InterruptCommandHigh or R.InitialCount or R.DivideConfiguration:
            case >= R.InService and < R.ErrorStatus:
            case >= R.LvtTimer and <= R.LvtError:
                value = Volatile.Read(ref _registers[offset / 4]);
                return true;
            default:
                value = 0;
                return false;
        }
    }

    /// <summary>
    /// Writes a register of either mode but the x2APIC's interrupt command; false when there is none that can be written.
    /// </summary>
    private bool TryWrite(int offset, uint value)
    {
        switch (offset)
        {
            case R.TaskPriority:
                TaskPriority = (byte)value;
                return true;
            case R.EndOfInterrupt:
                WithdrawEnd();
                EndOfInterrupt();
                return true;
            case R.SpuriousVector:
                WriteSpuriousVector(value & 0x3ff);
                return true;
            case R.ErrorStatus:
                // A write latches what has happened since the last one.
                _registers[R.ErrorStatus / 4] = Interlocked.Exchange(ref _errors, 0);
                return true;
            case >= R.LvtTimer and <= R.LvtError:
                WriteLvt(offset, value & R.LvtWritable(offset));
                return true;
            case R.InitialCount:
                _timer.SetInitialCount(value);
                _registers[R.InitialCount / 4] = _timer.InitialCount;
                return true;
            case R.DivideConfiguration:
                _registers[R.DivideConfiguration / 4] = value & 0xb;
                _timer.SetDivide(value);
                return true;
            case R.LogicalDestination when !IsX2Apic:
                _registers[R.LogicalDestination / 4] = value & 0xff00_0000;
                return true;
            case R.DestinationFormat when !IsX2Apic:
                _registers[R.DestinationFormat / 4] = value | 0x0fff_ffff;
                return true;
            case R.InterruptCommandHigh when !IsX2Apic:
                _registers[R.InterruptCommandHigh / 4] = value & 0xff00_0000;
                return true;
            case R.InterruptCommand when !IsX2Apic:
                _registers[R.InterruptCommand / 4] = value & 0x000c_cfff;
                SendInterProcessorInterrupt(
                    value, ApicMessage.WidenDestination((byte)(_registers[R.InterruptCommandHigh / 4] >> 24)));
                return true;
            case R.SelfIpi when IsX2Apic:
                if (value < 16)
                {
                    RecordError(ErrorStatus.SendIllegalVector);
                    return true;
                }

                Accept(ApicDeliveryMode.Fixed, (byte)value, level: false);
                return true;

            // Read-only in xAPIC mode: a write is lost.
            case R.Id or R.Version or R.ProcessorPriority or R.ArbitrationPriority or R.CurrentCount or R.RemoteRead when !IsX2Apic:
            case >= R.InService and < R.ErrorStatus when !IsX2Apic:
                return true;
            default:
                return false;
        }
    }

    private void WriteSpuriousVector(uint value)
    {
        _registers[R.SpuriousVector / 4] = value;
        if ((value & R.SoftwareEnable) == 0)
        {
            // Masked, and they stay so while the APIC is disabled (SDM Vol. 3A §11.4.7.2).
            for (int offset = R.LvtTimer; offset <= R.LvtError; offset += 0x10)
            {
                _registers[offset / 4] |= R.LvtMasked;
            }
        }
    }

    private void WriteLvt(int offset, uint value)
    {
        bool enabled = (_registers[R.SpuriousVector / 4] & R.SoftwareEnable) != 0;
        Volatile.Write(ref _registers[offset / 4], enabled ? value : value | R.LvtMasked);
        if (offset == R.LvtTimer)
        {
            _timer.SetMode(value);
            _registers[R.InitialCount / 4] = _timer.InitialCount;
        }
        else if (offset == R.LvtLint0 && _lint0)
        {
            // The pin is up already: a level counts, an edge is over.
            if (AcceptsExternal)
            {
                _owner.InterruptPending();
            }
            else if ((value & R.LvtLevel) != 0)
            {
                AcceptLocal(_registers[offset / 4]);
            }
        }
    }

    /// <summary>Sends what the interrupt command register says (SDM Vol. 3A §11.6.1).</summary>
    private void SendInterProcessorInterrupt(uint command, uint destination)
    {
        var mode = (ApicDeliveryMode)((command >> 8) & 7);
        byte vector = (byte)command;
        bool deassert = (command & (1 << 15)) != 0 && (command & (1 << 14)) == 0;
        switch (mode)
        {
            case ApicDeliveryMode.Reserved or ApicDeliveryMode.ExternalInterrupt:
            case ApicDeliveryMode.Init when deassert:
                // INIT level de-assert once set arbitration ids; there are none.
                return;
            case ApicDeliveryMode.Fixed or ApicDeliveryMode.LowestPriority when vector < 16:
                RecordError(ErrorStatus.SendIllegalVector);
                return;
        }

        // Whatever the trigger mode bit says, these are edges (SDM Vol. 3A §11.6.1, "Trigger Mode").
        var message = new ApicMessage(destination, (command & (1 << 11)) != 0, mode, vector, Level: false);
        _bus.SendWithShorthand(message, (ApicShorthand)((command >> 18) & 3), this);
    }
}
