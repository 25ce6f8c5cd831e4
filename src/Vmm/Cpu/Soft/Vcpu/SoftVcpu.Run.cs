using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Events;
using WebVm.Vmm.Cpu.Soft.Execution;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>Running as a vCPU: requests from other threads, events between instructions, sleep.</content>
internal sealed unsafe partial class SoftVcpu : IVirtualCpu, ILocalApicOwner
{
    private readonly ThreadParker _parker = new();
    private IVirtualTimer? _deadlineTimer;

    /// <summary>The deadline that <see cref="_deadlineTimer"/> was last set for; 0 for none.</summary>
    private long _armedDeadline;
    private volatile bool _asleep;
    private bool _exitOnHalt;

    /// <summary>Timers for <see cref="Deadline"/>; null for a processor that only assists.</summary>
    public HostTimers? DeadlineTimers { get; init; }

    public string? Failure { get; private set; }

    public long Deadline { get; set; }

    /// <summary>The vCPU whose thread this is, while it runs.</summary>
    [field: ThreadStatic]
    public static SoftVcpu? Current { get; private set; }

    public VcpuExit Run()
    {
        Current = this;
        GuestPresence.Enter(_cpu);
        try
        {
            ArmDeadline();
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
            SuspendParavirtual();
            GuestPresence.Leave(_cpu);
            Counters.Instructions = (long)_cpu->Instructions;
            Current = null;
        }
    }

    /// <summary>
    /// Runs until HLT retires (the activity then is <see cref="VcpuActivity.Halted"/>, the result <see cref="VcpuExit.Kicked"/>) or another
    /// exit.
    /// </summary>
    public VcpuExit RunUntilHalt()
    {
        _exitOnHalt = true;
        var exit = Run();
        _exitOnHalt = false;
        return exit;
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
                // Traps of the instruction before come first (SDM Vol. 3A §6.9, table 6-2).
                if (_cpu->State.PendingDebug != 0)
                {
                    if (!TryDeliverPendingDebug())
                    {
                        return ShutDown();
                    }
                }
                else if (_cpu->State.NmiPending != 0 && _cpu->State.NmiBlocked == 0)
                {
                    _cpu->State.NmiPending--;
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

    /// <summary>
    /// An event that another engine had begun to deliver when the state was saved. Software interrupts are executed again instead.
    /// </summary>
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

    /// <summary>
    /// Executes from RIP until the dispatch loop is left, and delivers an exception that it was left with. False: triple fault.
    /// </summary>
    private bool TryExecute()
    {
        bool trapFlag = (_cpu->State.Rflags & RflagsBits.Tf) != 0;
        bool single = trapFlag || _cpu->CodeBreakpoints != 0 || _cpu->DataBreakpoints != 0 || _cpu->State.InterruptShadow != 0
            || _cpu->State.PendingDebug != 0;
        Outcome outcome;
        if (!single)
        {
            var block = _interpreter.Lookup();
            outcome = block == null ? Outcome.Exception : Interpreter.Execute(_cpu, block);
            return outcome != Outcome.Exception ? Complete(outcome) : TryDeliverRecorded();
        }

        return TryExecuteSingle(trapFlag);
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
        destination->NmiPending = PendingNmis(Volatile.Read(ref _nmis));
        destination->PendingInit |= (byte)((requests & CpuRequests.Init) != 0 ? 1 : 0);
        if ((requests & CpuRequests.Sipi) != 0)
        {
            destination->PendingSipi = (ushort)Volatile.Read(ref _startUpVector);
        }

        if ((_unhalted || (requests & CpuRequests.Unhalt) != 0) && destination->Activity == VcpuActivity.Halted)
        {
            destination->Activity = VcpuActivity.Active;
        }
    }

    private void LoadRunState()
    {
        Interlocked.And(ref _cpu->Requests, (int)CpuRequests.Kick);
        Volatile.Write(ref _nmis, 0);
        _cpu->InterruptLatched = 1;

        // A kick on its way when the state was saved is not in it. A guest that uses kicks bears one too many, but not one too few.
        _unhalted = Apic is not null && (_cpu->State.Msr.KvmSystemTime & 1) != 0;
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
        Apic?.Dispose();
    }
}
