using System.Diagnostics;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>What other threads ask for: kicks, interrupts, INIT, deadlines, flushes; and sleep until they do.</content>
internal sealed unsafe partial class SoftVcpu
{
    private int _startUpVector;

    /// <summary>Non-maskable interrupts that arrived and have not been looked at.</summary>
    private int _nmis;

    public void Kick() => Request(CpuRequests.Kick);

    void ILocalApicOwner.InterruptPending() => Request(CpuRequests.Interrupt);

    void ILocalApicOwner.Nmi()
    {
        Interlocked.Increment(ref _nmis);
        Request(CpuRequests.Nmi);
    }

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
            _parker.Wake();
        }
    }

    /// <summary>Acts on what other threads asked for. True: the run ends.</summary>
    private bool TakeRequests(out VcpuExit exit)
    {
        exit = default;
        var requests = (CpuRequests)Interlocked.And(ref _cpu->Requests, (int)CpuRequests.Kick);
        if ((requests & CpuRequests.DropTranslations) != 0)
        {
            Tlb.Stale.Drop(_cpu);
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
            _cpu->State.NmiPending = PendingNmis(Interlocked.Exchange(ref _nmis, 0));
        }

        if ((requests & CpuRequests.Unhalt) != 0)
        {
            _unhalted = true;
        }

        Counters.Instructions = (long)_cpu->Instructions;
        TakeActivityEvents();
        UpdateStealTime();
        if ((requests & CpuRequests.Kick) != 0)
        {
            Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.Kick);
            exit = VcpuExit.Kicked;
            return true;
        }

        if ((requests & CpuRequests.Deadline) != 0 && Deadline != 0)
        {
            if (Stopwatch.GetTimestamp() >= Deadline)
            {
                exit = VcpuExit.DeadlineReached;
                return true;
            }

            // The timer went off for an earlier deadline, and will again for this one.
        }

        return false;
    }

    /// <summary>
    /// One runs and one waits behind it (SDM Vol. 3A §6.7.1): of those that come before the first is delivered two remain, later one.
    /// </summary>
    private byte PendingNmis(int arrived) =>
        (byte)Math.Min(_cpu->State.NmiPending + Math.Min(arrived, 2), _cpu->State.NmiBlocked != 0 ? 1 : 2);

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
            ProcessorMode.Update(_cpu);
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
        GuestPresence.Leave(_cpu);
        FallAsleep();
        GiveBackWhenIdle();
        long asleep = Stopwatch.GetTimestamp();
        var timer = Clock is { Running: true } ? Apic?.Timer : null;
        timer?.Keep();
        while (Volatile.Read(ref _cpu->Requests) == 0)
        {
            long due = HostTimeOf(timer?.Deadline ?? 0);
            if (_parker.Park(Math.Min(due, IdlePatience)))
            {
                continue;
            }

            if (Stopwatch.GetTimestamp() >= due)
            {
                // What it asks for is asked of this thread, which need not be woken.
                _asleep = false;
                timer!.Expire();
                FallAsleep();
            }
            else
            {
                GiveBackWhenIdle();
            }
        }

        timer?.Leave();
        long slept = Stopwatch.GetTimestamp() - asleep;
        _stealTime.Waited(slept);
        _stealUpdated += slept;
        _asleep = false;
        GuestPresence.Enter(_cpu);
    }

    /// <summary>From here on whoever asks for something wakes this thread: look once more at what was asked before.</summary>
    private void FallAsleep()
    {
        _asleep = true;
        Interlocked.MemoryBarrier();
    }

    /// <summary>CLOCK_MONOTONIC when VM time has come so far; never for 0.</summary>
    private long HostTimeOf(long deadline)
    {
        if (deadline == 0)
        {
            return long.MaxValue;
        }

        // The later reading is the one added: waking a little early means sleeping again.
        long remaining = (long)Int128.Clamp((Int128)deadline - Clock!.Now, 0, TimerService.LongestSleep);
        return Stopwatch.GetTimestamp() + remaining;
    }

    /// <summary>
    /// Before guest code runs: sets the timer that asks this vCPU's thread to look at the clock (SYSTEMS.md 001-9). The guest has no
    /// part in it: requests are looked at between blocks and within long instructions, whatever the interrupt flag says.
    /// </summary>
    private void ArmDeadline()
    {
        if (Deadline != 0 && Stopwatch.GetTimestamp() >= Deadline)
        {
            // No guest code runs at all.
            Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Deadline);
        }
        else if (Deadline != _armedDeadline)
        {
            _armedDeadline = Deadline;
            SetDeadlineTimer();
        }
    }

    private void SetDeadlineTimer()
    {
        if (Deadline == 0)
        {
            _deadlineTimer?.Cancel();
            return;
        }

        if (DeadlineTimers is not { } timers)
        {
            throw new InvalidOperationException("This processor has no timers for deadlines.");
        }

        _deadlineTimer ??= timers.CreateTimer(() => Request(CpuRequests.Deadline));
        _deadlineTimer.Arm(Deadline);
    }
}
