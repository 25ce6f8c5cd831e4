using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Events;
using WebVm.Vmm.Cpu.Soft.Execution;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>Instruction by instruction: for assist, single step, breakpoints and the shadow behind STI and MOV SS.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Value of <see cref="CpuState.InterruptShadow"/> behind MOV to SS and POP SS.</summary>
    private const byte ShadowOfStackLoad = 2;

    /// <summary>Executes at most so many instructions, one by one, without delivering interrupts or exceptions.</summary>
    /// <returns>How many retired; fewer when an exception is recorded (<see cref="Outcome.Exception"/>) or the processor halted.</returns>
    public int Step(int count, out Outcome outcome)
    {
        outcome = Outcome.Continue;
        int done = 0;
        GuestPresence.Enter(_cpu);
        Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Step);
        while (done < count && outcome == Outcome.Continue)
        {
            var block = _interpreter.Lookup(single: true);
            outcome = block == null ? Outcome.Exception : Interpreter.Execute(_cpu, block);
            if (outcome != Outcome.Exception)
            {
                done++;
            }
        }

        Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.Step);
        GuestPresence.Leave(_cpu);
        return done;
    }

    /// <summary>
    /// Debug traps of the instruction before, of a task switch or a return into single-stepped code: before anything else is taken.
    /// </summary>
    private bool TryDeliverPendingDebug()
    {
        _cpu->State.Activity = VcpuActivity.Active;
        return EventDelivery.TryDeliver(_cpu, GuestEvent.DebugTrap(_cpu->State.Rip));
    }

    /// <summary>
    /// One instruction, with what is to be checked around each: breakpoints before; single step and data breakpoints behind.
    /// </summary>
    private bool TryExecuteSingle(bool trapFlag)
    {
        byte shadow = _cpu->State.InterruptShadow;
        // The instruction behind a load of SS cannot be broken on: SS and the stack pointer do not belong together yet (SDM Vol. 3A
        // §6.8.3).
        if (_cpu->CodeBreakpoints != 0 && shadow != ShadowOfStackLoad && (_cpu->State.Rflags & RflagsBits.Rf) == 0)
        {
            uint hit = DebugRegisters.CodeAt(_cpu, new(_cpu->State.Rip + _cpu->CodeBase));
            if (hit != 0)
            {
                Faults.Record(_cpu, ExceptionVector.Debug, 0, hit);
                return TryDeliverRecorded();
            }
        }

        ulong rflags = _cpu->State.Rflags;
        var block = _interpreter.Lookup(single: true);

        // These trap by the flag as they leave it, so that a kernel whose entry clears TF is not stepped (SDM Vol. 3B §17.3.1.1).
        bool checksAfterwards = _interpreter.SingleIsSystemCall;
        Interlocked.Or(ref _cpu->Requests, (int)CpuRequests.Step);
        var outcome = block == null ? Outcome.Exception : Interpreter.Execute(_cpu, block);
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

        bool steps = checksAfterwards ? (_cpu->State.Rflags & RflagsBits.Tf) != 0 : trapFlag;
        if (_cpu->State.InterruptShadow == ShadowOfStackLoad)
        {
            // Behind a load of SS data breakpoints wait for one instruction; the single step there is lost (SDM Vol. 3A §6.8.3).
            return true;
        }

        _cpu->State.PendingDebug |= steps ? DebugRegisters.SingleStep : 0;
        return _cpu->State.PendingDebug == 0 || TryDeliverPendingDebug();
    }
}
