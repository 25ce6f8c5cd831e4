using System.Numerics;
using WebVm.Vmm.Time;
using R = WebVm.Vmm.Interrupts.LocalApicRegister;

namespace WebVm.Vmm.Interrupts;

/// <summary>
/// The local APIC of one vCPU of the soft engine (SDM Vol. 3A chapter 11), as xAPIC and x2APIC.
/// </summary>
/// <remarks>
/// The registers belong to the vCPU's thread, which alone reads and writes them through the page, the MSRs and CR8, and alone takes
/// interrupts with <see cref="Acknowledge"/>. Senders on other threads only set bits of IRR and TMR, atomically, and tell the
/// owner; they read (never write) what decides whether they are addressed.
/// </remarks>
public sealed partial class LocalApic : IDisposable
{
    public const ulong DefaultBase = 0xfee0_0000;
    public const ulong BaseBootstrapProcessor = 1 << 8;
    public const ulong BaseX2ApicEnable = 1 << 10;
    public const ulong BaseEnable = 1 << 11;

    private readonly ApicBus _bus;
    private readonly ILocalApicOwner _owner;
    private readonly LocalApicTimer _timer;
    private readonly uint[] _registers = new uint[1024 / sizeof(uint)];
    private readonly bool _bootstrap;

    private ulong _base;

    /// <summary>Errors since the last write to the error status register; set by any thread.</summary>
    private uint _errors;

    /// <summary>The level of LINT0, where the 8259A pair is wired.</summary>
    private volatile bool _lint0;

    /// <summary>A message of delivery mode ExtINT has arrived and not been acknowledged.</summary>
    private volatile bool _externalMessage;

    /// <param name="bootstrap">The vCPU is the boot processor.</param>
    public LocalApic(ApicBus bus, uint apicId, bool bootstrap, ITimerService timers, ILocalApicOwner owner)
    {
        _bus = bus;
        _owner = owner;
        _bootstrap = bootstrap;
        ApicId = apicId;
        _timer = new LocalApicTimer(timers, TimerExpired);
        Reset();
        bus.Attach(this);
        SetLint0(bus.ExternalInterruptLine);
    }

    /// <summary>What connects it with the others.</summary>
    public ApicBus Bus => _bus;

    /// <summary>The x2APIC id; its low 8 bits are the xAPIC id.</summary>
    public uint ApicId { get; }

    /// <summary>
    /// An interrupt can be taken as soon as RFLAGS.IF and the interrupt shadow allow. Only on the vCPU's thread (or while it sleeps).
    /// </summary>
    public bool HasPending
    {
        get
        {
            SynchronizeEnd();
            return IsExternalPending || DeliverableVector() >= 0;
        }
    }

    /// <summary>The class and subclass that interrupts must exceed to be taken (PPR).</summary>
    public byte ProcessorPriority => (byte)_registers[R.ProcessorPriority / 4];

    /// <summary>TPR. Lowering it may make an interrupt deliverable: the owner is told.</summary>
    public byte TaskPriority
    {
        get => (byte)_registers[R.TaskPriority / 4];
        set
        {
            SynchronizeEnd();
            _registers[R.TaskPriority / 4] = value;
            UpdateProcessorPriority();
            SignalIfPending();
        }
    }

    /// <summary>CR8: bits 7:4 of the TPR (SDM Vol. 3A §11.8.6).</summary>
    public ulong Cr8
    {
        get => (ulong)TaskPriority >> 4;
        set => TaskPriority = (byte)((value & 0xf) << 4);
    }

    /// <summary>The APIC is on in IA32_APIC_BASE and in the spurious-interrupt vector register.</summary>
    public bool Enabled => IsPresent && (_registers[R.SpuriousVector / 4] & R.SoftwareEnable) != 0;

    private bool IsPresent => (_base & BaseEnable) != 0;

    private bool IsX2Apic => (_base & BaseX2ApicEnable) != 0;

    /// <summary>The id register.</summary>
    private uint Id => IsX2Apic ? ApicId : ApicId << 24;

    /// <summary>The logical destination register; an x2APIC's follows from its id (SDM Vol. 3A §11.12.10.2).</summary>
    private uint LogicalId =>
        IsX2Apic ? ((ApicId & ~0xfu) << 12) | (1u << (int)(ApicId & 0xf)) : _registers[R.LogicalDestination / 4];

    /// <summary>The 8259A pair asks, and LINT0 lets it through; with the APIC off LINT0 is the INTR pin (SDM Vol. 3A §11.4.3).</summary>
    private bool IsExternalPending => _externalMessage || (_lint0 && AcceptsExternal);

    private bool AcceptsExternal =>
        !IsPresent || (_registers[R.LvtLint0 / 4] & (R.LvtMasked | 0x700)) == (uint)ApicDeliveryMode.ExternalInterrupt << 8;

    /// <summary>
    /// Takes the interrupt with the highest priority: moves it from IRR to ISR and returns its vector, or -1 when there is none
    /// any more. Only on the vCPU's thread, which then delivers it through the IDT.
    /// </summary>
    public int Acknowledge()
    {
        if (IsExternalPending)
        {
            _externalMessage = false;
            int external = _bus.AcknowledgeExternal?.Invoke() ?? -1;
            if (external >= 0)
            {
                return external;
            }
        }

        SynchronizeEnd();
        int vector = DeliverableVector();
        if (vector < 0)
        {
            if (_endOffered && Highest(R.InterruptRequest) >= 0)
            {
                WithdrawEnd();
            }

            return -1;
        }

        if (_endOffered)
        {
            WithdrawEnd();
        }

        Interlocked.And(ref Word(R.InterruptRequest, vector), ~Bit(vector));
        Word(R.InService, vector) |= Bit(vector);
        UpdateProcessorPriority();
        OfferEnd(vector);
        return vector;
    }

    /// <summary>Delivers a fixed interrupt from any thread; false when the APIC is disabled or the vector illegal.</summary>
    public bool Deliver(byte vector, bool level) => Accept(ApicDeliveryMode.Fixed, vector, level);

    /// <summary>The local interrupt pin LINT1, where a PC has its NMI sources.</summary>
    public void PulseLint1() => AcceptLocal(_registers[R.LvtLint1 / 4]);

    /// <summary>Power-on state, the APIC base included. Only while the vCPU does not run.</summary>
    public void Reset()
    {
        _base = DefaultBase | BaseEnable | (_bootstrap ? BaseBootstrapProcessor : 0);
        Init();
    }

    /// <summary>
    /// What INIT does to the APIC: everything but its id and mode (SDM Vol. 3A §11.4.7.3, §11.12.5.1). On the vCPU's thread.
    /// </summary>
    public void Init()
    {
        _endOffered = false;
        _endMemory = null;
        ResetRegisters();
    }

    /// <summary>Detaches the APIC from the bus: its vCPU is removed.</summary>
    public void Dispose()
    {
        _bus.Detach(this);
        _timer.Dispose();
    }

    private void ResetRegisters()
    {
        Array.Clear(_registers);
        _timer.Reset();
        _errors = 0;
        _externalMessage = false;

        // Version 0x14, six LVT entries, no suppression of EOI broadcasts.
        _registers[R.Version / 4] = 0x0005_0014;
        _registers[R.DestinationFormat / 4] = 0xffff_ffff;
        _registers[R.SpuriousVector / 4] = 0xff;
        for (int offset = R.LvtTimer; offset <= R.LvtError; offset += 0x10)
        {
            _registers[offset / 4] = R.LvtMasked;
        }

        if (_bootstrap)
        {
            // Virtual wire mode, which an operating system expects its firmware to have set up (MultiProcessor Specification 1.4 §3.6.2.2).
            _registers[R.LvtLint0 / 4] = (uint)ApicDeliveryMode.ExternalInterrupt << 8;
        }
    }

    /// <summary>Its timer, for a vCPU that sleeps.</summary>
    internal LocalApicTimer Timer => _timer;

    internal void Unhalt() => _owner.Unhalt();

    /// <summary>Whether a message with that destination is for this APIC (SDM Vol. 3A §11.6.2, §11.12.9, §11.12.10).</summary>
    internal bool IsAddressed(uint destination, bool logical)
    {
        if (destination == ApicMessage.Broadcast)
        {
            return true;
        }

        if (!logical)
        {
            // An APIC still in xAPIC mode also answers to its full id: so a processor beyond 255 can be started.
            return destination == ApicId || (!IsX2Apic && destination == (ApicId & 0xff));
        }

        uint logicalId = LogicalId;
        if (IsX2Apic)
        {
            return destination >> 16 == logicalId >> 16 && (destination & logicalId & 0xffff) != 0;
        }

        logicalId >>= 24;
        if (destination > 0xff)
        {
            return false;
        }

        return _registers[R.DestinationFormat / 4] >> 28 == 0xf
            ? (destination & logicalId) != 0
            : destination >> 4 == logicalId >> 4 && (destination & logicalId & 0xf) != 0;
    }

    /// <summary>Takes a message that is for this APIC. Any thread.</summary>
    internal bool Accept(ApicDeliveryMode mode, byte vector, bool level)
    {
        if (!IsPresent)
        {
            return false;
        }

        switch (mode)
        {
            case ApicDeliveryMode.Fixed or ApicDeliveryMode.LowestPriority:
                return AcceptFixed(vector, level);
            case ApicDeliveryMode.Smi:
                _owner.Smi();
                return true;
            case ApicDeliveryMode.Nmi:
                _owner.Nmi();
                return true;
            case ApicDeliveryMode.Init:
                _owner.Init();
                return true;
            case ApicDeliveryMode.StartUp:
                _owner.StartUp(vector);
                return true;
            case ApicDeliveryMode.ExternalInterrupt:
                _externalMessage = true;
                _owner.InterruptPending();
                return true;
            default:
                return false;
        }
    }

    internal void SetLint0(bool asserted)
    {
        bool rises = asserted && !_lint0;
        _lint0 = asserted;
        if (!asserted)
        {
            return;
        }

        if (AcceptsExternal)
        {
            _owner.InterruptPending();
        }
        else if (rises)
        {
            AcceptLocal(_registers[R.LvtLint0 / 4]);
        }
    }

    private static uint Bit(int vector) => 1u << (vector & 31);

    private ref uint Word(int array, int vector) => ref _registers[(array + ((vector >> 5) * 0x10)) / 4];

    private bool AcceptFixed(byte vector, bool level)
    {
        if (!Enabled)
        {
            return false;
        }

        if (vector < 16)
        {
            RecordError(ErrorStatus.ReceiveIllegalVector);
            return false;
        }

        // Trigger mode before request: whoever takes the interrupt must find it.
        ref uint trigger = ref Word(R.TriggerMode, vector);
        if (level)
        {
            Interlocked.Or(ref trigger, Bit(vector));
        }
        else if ((Volatile.Read(ref trigger) & Bit(vector)) != 0)
        {
            Interlocked.And(ref trigger, ~Bit(vector));
        }

        // Only the sender that sets the bit tells the vCPU. One that finds it set knows that it has been or is being told.
        if ((Interlocked.Or(ref Word(R.InterruptRequest, vector), Bit(vector)) & Bit(vector)) == 0)
        {
            _owner.InterruptPending();
        }

        return true;
    }

    /// <summary>An event of the APIC itself or of its pins, as the LVT entry says.</summary>
    private void AcceptLocal(uint lvt)
    {
        if ((lvt & R.LvtMasked) == 0)
        {
            Accept((ApicDeliveryMode)((lvt >> 8) & 7), (byte)lvt, (lvt & R.LvtLevel) != 0);
        }
    }

    private void TimerExpired()
    {
        uint lvt = Volatile.Read(ref _registers[R.LvtTimer / 4]);
        if ((lvt & R.LvtMasked) == 0)
        {
            Accept(ApicDeliveryMode.Fixed, (byte)lvt, level: false);
        }
    }

    private void RecordError(ErrorStatus error)
    {
        Interlocked.Or(ref _errors, (uint)error);
        uint lvt = _registers[R.LvtError / 4];

        // An error entry with an illegal vector of its own must not report itself for ever.
        if ((lvt & R.LvtMasked) == 0 && (byte)lvt >= 16)
        {
            Accept(ApicDeliveryMode.Fixed, (byte)lvt, level: false);
        }
    }

    private void EndOfInterrupt()
    {
        int vector = Highest(R.InService);
        if (vector < 0)
        {
            return;
        }

        Word(R.InService, vector) &= ~Bit(vector);
        UpdateProcessorPriority();
        if ((Volatile.Read(ref Word(R.TriggerMode, vector)) & Bit(vector)) != 0)
        {
            uint lint0 = _registers[R.LvtLint0 / 4];
            if (_lint0 && (lint0 & (R.LvtMasked | R.LvtLevel | 0x7ff)) == (R.LvtLevel | (uint)vector))
            {
                AcceptLocal(lint0);
            }

            _bus.LevelInterruptEnded?.Invoke((byte)vector);
        }

        SignalIfPending();
    }

    private void SignalIfPending()
    {
        if (HasPending)
        {
            _owner.InterruptPending();
        }
    }

    private int DeliverableVector()
    {
        int vector = Highest(R.InterruptRequest);
        return vector >= 0 && (vector & 0xf0) > (ProcessorPriority & 0xf0) && IsPresent ? vector : -1;
    }

    private int Highest(int array)
    {
        for (int word = 7; word >= 0; word--)
        {
            uint bits = Volatile.Read(ref _registers[(array + (word * 0x10)) / 4]);
            if (bits != 0)
            {
                return (word * 32) + BitOperations.Log2(bits);
            }
        }

        return -1;
    }

    /// <summary>PPR (SDM Vol. 3A §11.8.3.1).</summary>
    private void UpdateProcessorPriority()
    {
        int inService = Math.Max(Highest(R.InService), 0) & 0xf0;
        uint task = _registers[R.TaskPriority / 4];
        _registers[R.ProcessorPriority / 4] = (task & 0xf0) >= inService ? task : (uint)inService;
    }

    /// <summary>Bits of the error status register (SDM Vol. 3A §11.5.3).</summary>
    [Flags]
    private enum ErrorStatus : uint
    {
        SendIllegalVector = 1 << 5,
        ReceiveIllegalVector = 1 << 6,
        IllegalRegisterAddress = 1 << 7,
    }
}
