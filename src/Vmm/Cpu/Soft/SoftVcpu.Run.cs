using System.Diagnostics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;
using WebVm.Vmm.Cpu.Soft.Interpretation;
using WebVm.Vmm.Cpu.Soft.Paravirtualization;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft;

/// <content>Running as a vCPU: requests from other threads, events between instructions, sleep.</content>
internal sealed unsafe partial class SoftVcpu : IVirtualCpu, ILocalApicOwner
{
    private readonly ManualResetEventSlim _wake = new(initialState: false, spinCount: 0);
    private Timer? _deadlineTimer;
    private long _deadline;
    private bool _codeBreakpoints;
    private volatile bool _asleep;
    private bool _exitOnHalt;

    /// <summary>The local APIC; null for a processor that only assists.</summary>
    public LocalApic? Apic { get; set; }

    /// <summary>VM time, which the time stamp counter derives from.</summary>
    public Time.VirtualClock? Clock { get; set; }

    public string? Failure { get; private set; }

    public long Deadline
    {
        get => _deadline;
        set
        {
            _deadline = value;
            ArmDeadline();
        }
    }

    /// <summary>The vCPU whose thread this is, while it runs.</summary>
    [field: ThreadStatic]
    public static SoftVcpu? Current { get; private set; }

    public void Kick() => Request(CpuRequests.Kick);

    void ILocalApicOwner.InterruptPending() => Request(CpuRequests.Interrupt);

    void ILocalApicOwner.Nmi() => Request(CpuRequests.Nmi);

    // System management mode is absent: there is no handler that an SMI could run.
    void ILocalApicOwner.Smi()
    {
    }

    void ILocalApicOwner.Init()
    {
        // A start-up message that came before is not the one that the reset processor waits for.
        Volatile.Write(ref _startUpVector, 0);
        Request(CpuRequests.Init);
    }

    void ILocalApicOwner.StartUp(byte vector)
    {
        Volatile.Write(ref _startUpVector, 0x100 | vector);
        Request(CpuRequests.Sipi);
    }

    void ILocalApicOwner.Unhalt() => Request(CpuRequests.Unhalt);

    long ILocalApicOwner.ClockAtTsc(ulong tsc) => TimeStampCounter.ClockAt(_cpu, tsc);

    /// <summary>Asks the vCPU's thread to look at something at the next block boundary.</summary>
    public void Request(CpuRequests request)
    {
        Interlocked.Or(ref _cpu->Requests, (int)request);
        if (_asleep)
        {
            _wake.Set();
        }
    }

    /// <summary>Makes the vCPU drop its translations; when this returns none of the old ones is in use any more.</summary>
    public void FlushFromOutside()
    {
        if (Current == this)
        {
            Tlb.FlushAll(_cpu);
            return;
        }

        Request(CpuRequests.FlushTlb);
        Interlocked.MemoryBarrierProcessWide();
        var wait = default(SpinWait);
        while (Volatile.Read(ref _cpu->InGuest) != 0 && (Volatile.Read(ref _cpu->Requests) & (int)CpuRequests.FlushTlb) != 0)
        {
            wait.SpinOnce();
        }
    }

    public VcpuExit Run()
    {
        Current = this;
        ArmDeadline();
        EnterGuest();
        try
        {
            ResumeParavirtual();
            return RunLoop();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Failure = exception.ToString();
            return VcpuExit.HostFailure;
        }
        finally
        {
            Apic?.Settle();
            Volatile.Write(ref _cpu->InGuest, 0);
            Counters.Instructions = (long)_cpu->Instructions;
            Current = null;
        }
    }

    /// <summary>Runs until HLT retires (the activity then is <see cref="VcpuActivity.Halted"/>, the result <see cref="VcpuExit.Kicked"/>) or another exit.</summary>
    public VcpuExit RunUntilHalt()
    {
        _exitOnHalt = true;
        var exit = Run();
        _exitOnHalt = false;
        return exit;
    }

    /// <summary>Executes at most so many instructions, one by one, without delivering interrupts or exceptions.</summary>
    /// <returns>How many retired; fewer when an exception is recorded (<see cref="Outcome.Exception"/>) or the processor halted.</returns>
    public int Step(int count, out Outcome outcome)
    {
        outcome = Outcome.Continue;
        int done = 0;
        EnterGuest();
        Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Step);
        while (done < count && outcome == Outcome.Continue)
        {
            var block = Lookup(single: true);
            outcome = block == null ? Outcome.Exception : ExecuteBlock(block);
            if (outcome != Outcome.Exception)
            {
                done++;
            }
        }

        Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.Step);
        Volatile.Write(ref _cpu->InGuest, 0);
        return done;
    }

    /// <summary>A read of what is not memory, on the vCPU's thread.</summary>
    public ulong ReadDevice(GuestPhysicalAddress address, int size)
    {
        if (IsApicPage(address.Value))
        {
            return Apic!.ReadMmio((int)(address.Value & 0xfff), size);
        }

        Counters.MmioExits++;
        LeaveGuest();
        ulong value = Bus.ReadMmio(address, size);
        EnterGuest();
        return value;
    }

    public void WriteDevice(GuestPhysicalAddress address, int size, ulong value)
    {
        if (IsApicPage(address.Value))
        {
            Apic!.WriteMmio((int)(address.Value & 0xfff), size, value);
            return;
        }

        Counters.MmioExits++;
        LeaveGuest();
        Bus.WriteMmio(address, size, value);
        EnterGuest();
    }

    public uint ReadPort(ushort port, int size)
    {
        Counters.PortExits++;
        LeaveGuest();
        uint value = Bus.ReadPort(port, size);
        EnterGuest();
        return value;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        Counters.PortExits++;
        LeaveGuest();
        Bus.WritePort(port, size, value);
        EnterGuest();
    }

    /// <summary>Whether the local APIC answers at that physical address.</summary>
    public bool IsApicPage(ulong physical) => Apic is { } apic && (physical & ~0xfffUL) == apic.Page?.Value;

    private int _startUpVector;

    private void EnterGuest()
    {
        Interlocked.Exchange(ref _cpu->InGuest, 1);
        if ((_cpu->Requests & (int)CpuRequests.FlushTlb) != 0)
        {
            FlushRequested();
        }
    }

    private void LeaveGuest() => Volatile.Write(ref _cpu->InGuest, 0);

    private void FlushRequested()
    {
        Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.FlushTlb);
        Tlb.FlushAll(_cpu);
    }

    private VcpuExit RunLoop()
    {
        if (_cpu->State.PendingEvent != 0 && !TryDeliverPending())
        {
            return ShutDown();
        }

        while (true)
        {
            if (_cpu->Requests != 0 && TakeRequests(out var exit))
            {
                return exit;
            }

            if (_cpu->State.Activity != VcpuActivity.Active)
            {
                if (_cpu->State.Activity == VcpuActivity.Shutdown)
                {
                    return VcpuExit.Shutdown;
                }

                if (_exitOnHalt)
                {
                    return VcpuExit.Kicked;
                }

                Sleep();
                continue;
            }

            if (_cpu->State.InterruptShadow == 0)
            {
                if (_cpu->State.NmiPending != 0 && _cpu->State.NmiBlocked == 0)
                {
                    _cpu->State.NmiPending = 0;
                    if (!EventDelivery.TryDeliver(_cpu, GuestEvent.Nmi(_cpu->State.Rip)))
                    {
                        return ShutDown();
                    }
                }
                else if (_cpu->InterruptLatched != 0 && (_cpu->State.Rflags & RflagsBits.If) != 0 && !TryTakeInterrupt())
                {
                    return ShutDown();
                }
            }

            if (!TryExecute())
            {
                return ShutDown();
            }
        }
    }

    /// <summary>An event that another engine had begun to deliver when the state was saved. Software interrupts are executed again instead.</summary>
    private bool TryDeliverPending()
    {
        ref var state = ref _cpu->State;
        var kind = (EventKind)state.PendingEventType;
        byte vector = (byte)state.PendingEvent;
        state.PendingEvent = 0;
        if (kind is not (EventKind.External or EventKind.Nmi or EventKind.Exception))
        {
            return true;
        }

        var pending = new GuestEvent(vector, kind, state.Rip, state.PendingEventHasErrorCode != 0, state.PendingEventErrorCode, state.Cr2);
        return EventDelivery.TryDeliver(_cpu, vector == (byte)ExceptionVector.Debug ? pending with { Address = 0 } : pending);
    }

    /// <summary>Executes from RIP until the dispatch loop is left, and delivers an exception that it was left with. False: triple fault.</summary>
    private bool TryExecute()
    {
        bool trapFlag = (_cpu->State.Rflags & RflagsBits.Tf) != 0;
        bool single = trapFlag || _codeBreakpoints || _cpu->DataBreakpoints != 0 || _cpu->State.InterruptShadow != 0 || _cpu->PendingDebug != 0;
        Outcome outcome;
        if (!single)
        {
            var block = Lookup();
            outcome = block == null ? Outcome.Exception : ExecuteBlock(block);
            return outcome != Outcome.Exception ? Complete(outcome) : TryDeliverRecorded();
        }

        return TryExecuteSingle(trapFlag);
    }

    private Outcome ExecuteBlock(Block* block)
    {
        _cpu->Instructions += block->Count;
        _cpu->Outcome = Outcome.Continue;
        Dispatch(_cpu, Block.First(block));
        return _cpu->Outcome;
    }

    private bool Complete(Outcome outcome)
    {
        switch (outcome)
        {
            case Outcome.Halt:
                Counters.HaltExits++;
                _cpu->State.Activity = VcpuActivity.Halted;
                return true;
            case Outcome.Shutdown:
                return false;
            default:
                return true;
        }
    }

    private bool TryDeliverRecorded() => EventDelivery.TryDeliver(_cpu, GuestEvent.Recorded(_cpu));

    /// <summary>One instruction, with what is to be checked around each: breakpoints before; single step and data breakpoints behind.</summary>
    private bool TryExecuteSingle(bool trapFlag)
    {
        byte shadow = _cpu->State.InterruptShadow;
        if (_codeBreakpoints && (_cpu->State.Rflags & RflagsBits.Rf) == 0)
        {
            uint hit = DebugRegisters.CodeAt(_cpu, _cpu->State.Rip + _cpu->CodeBase);
            if (hit != 0)
            {
                Faults.Record(_cpu, ExceptionVector.Debug, 0, hit);
                return TryDeliverRecorded();
            }
        }

        _cpu->PendingDebug = 0;
        ulong rflags = _cpu->State.Rflags;
        var block = Lookup(single: true);
        Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Step);
        var outcome = block == null ? Outcome.Exception : ExecuteBlock(block);
        Interlocked.And(ref _cpu->Requests, ~(int)(CpuRequests.Step | CpuRequests.Debug));
        if (outcome == Outcome.Exception)
        {
            return TryDeliverRecorded();
        }

        // RF holds for one instruction, unless that one (IRET, POPF's kind) set it anew.
        if ((rflags & RflagsBits.Rf) != 0 && (_cpu->State.Rflags & RflagsBits.Rf) != 0)
        {
            _cpu->State.Rflags &= ~RflagsBits.Rf;
        }

        // The shadow covers the instruction behind the one that cast it.
        if (shadow != 0)
        {
            _cpu->State.InterruptShadow = 0;
        }

        if (!Complete(outcome))
        {
            return false;
        }

        uint debug = _cpu->PendingDebug | (trapFlag ? DebugRegisters.SingleStep : 0);
        _cpu->PendingDebug = 0;
        if (debug != 0 && _cpu->State.InterruptShadow != 2)
        {
            _cpu->State.Activity = VcpuActivity.Active;
            return EventDelivery.TryDeliver(_cpu, GuestEvent.Debug(_cpu, debug));
        }

        return true;
    }

    /// <summary>The heart of the interpreter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dispatch(CpuContext* cpu, Operation* op)
    {
        do
        {
            op = op->Handler(cpu, op);
        }
        while (op != null);
    }

    private bool TryTakeInterrupt()
    {
        int vector = Apic?.Acknowledge() ?? -1;
        if (vector < 0)
        {
            _cpu->InterruptLatched = 0;
            // One that arrived between the two has set the request again.
            return true;
        }

        Counters.InterruptsInjected++;
        return EventDelivery.TryDeliver(_cpu, GuestEvent.External((byte)vector, _cpu->State.Rip));
    }

    private VcpuExit ShutDown()
    {
        _cpu->State.Activity = VcpuActivity.Shutdown;
        return VcpuExit.Shutdown;
    }

    /// <summary>Acts on what other threads asked for. True: the run ends.</summary>
    private bool TakeRequests(out VcpuExit exit)
    {
        exit = default;
        var requests = (CpuRequests)Interlocked.And(ref _cpu->Requests, (int)CpuRequests.Kick);
        if ((requests & CpuRequests.FlushTlb) != 0)
        {
            Tlb.FlushAll(_cpu);
        }

        if ((requests & CpuRequests.Init) != 0)
        {
            _cpu->State.PendingInit = 1;
        }

        if ((requests & CpuRequests.Sipi) != 0)
        {
            _cpu->State.PendingSipi = (ushort)Interlocked.Exchange(ref _startUpVector, 0);
        }

        if ((requests & CpuRequests.Interrupt) != 0)
        {
            _cpu->InterruptLatched = 1;
        }

        if ((requests & CpuRequests.Nmi) != 0)
        {
            _cpu->State.NmiPending = 1;
        }

        if ((requests & CpuRequests.Unhalt) != 0)
        {
            _unhalted = true;
        }

        TakeActivityEvents();
        UpdateStealTime();
        if ((requests & CpuRequests.Kick) != 0)
        {
            Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.Kick);
            exit = VcpuExit.Kicked;
            return true;
        }

        if ((requests & CpuRequests.Deadline) != 0 && _deadline != 0)
        {
            if (Stopwatch.GetTimestamp() >= _deadline)
            {
                exit = VcpuExit.DeadlineReached;
                return true;
            }

            ArmDeadline();
        }

        return false;
    }

    private void TakeActivityEvents()
    {
        ref var state = ref _cpu->State;
        if (state.PendingInit != 0)
        {
            state.PendingInit = 0;
            CpuReset.Init(_cpu, Index == 0);
            Apic?.Init();
            KvmRegisters.Reset(_cpu);
            _unhalted = false;
            StateReplaced();
        }

        if (state.PendingSipi != 0 && state.Activity == VcpuActivity.WaitForSipi)
        {
            CpuReset.StartUp(&_cpu->State, (byte)state.PendingSipi);
            ModeChanged();
        }

        // Elsewhere a start-up message is dropped (SDM Vol. 3A §8.4.3).
        state.PendingSipi = 0;
        if (state.Activity == VcpuActivity.Halted
            && (_unhalted || (state.NmiPending != 0 && state.NmiBlocked == 0)
                || (_cpu->InterruptLatched != 0 && (state.Rflags & RflagsBits.If) != 0 && Apic is { HasPending: true })))
        {
            state.Activity = VcpuActivity.Active;
            _unhalted = false;
        }
    }

    /// <summary>Waits until another thread asks for something.</summary>
    private void Sleep()
    {
        TakeActivityEvents();
        if (_cpu->State.Activity == VcpuActivity.Active)
        {
            return;
        }

        Counters.Instructions = (long)_cpu->Instructions;
        LeaveGuest();
        _asleep = true;
        Interlocked.MemoryBarrier();
        while (Volatile.Read(ref _cpu->Requests) == 0)
        {
            _wake.Wait();
            _wake.Reset();
        }

        _asleep = false;
        EnterGuest();
    }

    private void ArmDeadline()
    {
        if (_deadline == 0)
        {
            _deadlineTimer?.Change(Timeout.Infinite, Timeout.Infinite);
            return;
        }

        _deadlineTimer ??= new Timer(static vcpu => ((SoftVcpu)vcpu!).Request(CpuRequests.Deadline), this, Timeout.Infinite, Timeout.Infinite);
        long left = _deadline - Stopwatch.GetTimestamp();
        long milliseconds = Math.Clamp((left + 999_999) / 1_000_000, 0, int.MaxValue - 1);
        _deadlineTimer.Change(milliseconds, Timeout.Infinite);
    }

    private void SaveRunState(CpuState* destination)
    {
        if (Apic is { } apic)
        {
            destination->Msr.ApicBase = apic.Base;
            destination->Msr.TscDeadline = apic.TscDeadline;
            destination->Cr8 = apic.Cr8;
        }

        destination->Msr.Tsc = TimeStampCounter.Read(_cpu);
        var requests = (CpuRequests)Volatile.Read(ref _cpu->Requests);
        destination->NmiPending |= (byte)((requests & CpuRequests.Nmi) != 0 ? 1 : 0);
        destination->PendingInit |= (byte)((requests & CpuRequests.Init) != 0 ? 1 : 0);
        if ((requests & CpuRequests.Sipi) != 0)
        {
            destination->PendingSipi = (ushort)Volatile.Read(ref _startUpVector);
        }
    }

    private void LoadRunState()
    {
        Interlocked.And(ref _cpu->Requests, (int)CpuRequests.Kick);
        _cpu->InterruptLatched = 1;
        TimeStampCounter.ApplyFrequency(_cpu);
        TimeStampCounter.Write(_cpu, _cpu->State.Msr.Tsc);
        if (Apic is { } apic)
        {
            apic.LoadBase(_cpu->State.Msr.ApicBase);
            apic.LoadTscDeadline(_cpu->State.Msr.TscDeadline);
        }

        // Pending INIT, SIPI and events are looked at before the first instruction.
        Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Interrupt);
    }

    private void DisposeRunState()
    {
        _deadlineTimer?.Dispose();
        _stealTime.Dispose();
        _wake.Dispose();
        Apic?.Dispose();
    }
}
