using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Events;

/// <summary>
/// Task, interrupt and trap gates of protected mode, from virtual-8086 mode as well (SDM Vol. 3A §6.12, Vol. 3B §20.3.1).
/// </summary>
internal static unsafe class ProtectedModeDelivery
{
    private const int TaskGate = 5;

    /// <summary>False: a fault on the way is recorded; nothing has changed, unless a task gate's new task is the one that faults.</summary>
    public static bool TryDeliver(CpuContext* cpu, in GuestEvent guestEvent)
    {
        uint external = guestEvent.IsExternalToProgram ? 1u : 0;
        uint gateError = ((uint)guestEvent.Vector << 3) | 2 | external;
        uint offset = (uint)guestEvent.Vector << 3;
        if (offset + 7 > cpu->State.Idtr.Limit)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, gateError);
        }

        if (!SlowAccess.TryReadSystem(cpu, new((uint)(cpu->State.Idtr.Base + offset)), out ulong low))
        {
            return false;
        }

        var gate = new Descriptor(low);
        if (gate.IsCodeOrData || gate.Type is not (TaskGate or 6 or 7 or 14 or 15)
            || (guestEvent.ChecksGatePrivilege && gate.Dpl < cpu->Cpl))
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, gateError);
        }

        if (!gate.IsPresent)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.SegmentNotPresent, gateError);
        }

        if (gate.Type == TaskGate)
        {
            uint? error = guestEvent.HasErrorCode ? guestEvent.ErrorCode : null;
            return TaskSwitch.TrySwitch(
                cpu, gate.GateSelector, nests: true, guestEvent.ReturnRip, external, error) == TaskSwitchResult.Switched;
        }

        return TryEnter(cpu, in guestEvent, in gate, external);
    }

    private static bool TryEnter(CpuContext* cpu, in GuestEvent guestEvent, in Descriptor gate, uint external)
    {
        ushort selector = gate.GateSelector;
        uint error = (uint)(selector & ~3) | external;
        if (!CodeTransfer.TryFetch(cpu, selector, external, out var code))
        {
            return false;
        }

        bool virtual8086 = (cpu->State.Rflags & RflagsBits.Vm) != 0;
        if (!code.IsCode || code.Dpl > cpu->Cpl || (virtual8086 && (code.IsConforming || code.Dpl != 0)))
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, error);
        }

        if (!code.IsPresent)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.SegmentNotPresent, error);
        }

        uint size = (gate.Type & 8) != 0 ? 4u : 2u;
        uint target = size == 4 ? gate.GateOffset : (ushort)gate.GateOffset;
        if (target > code.Limit)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, external);
        }

        bool inner = !code.IsConforming && code.Dpl < cpu->Cpl;
        int cpl = inner ? code.Dpl : cpu->Cpl;
        var ss = *Segments.Register(cpu, SegmentIndex.Ss);
        ulong pointer = cpu->State.Gpr[4];
        if (inner)
        {
            if (!InnerStack.TryFind(cpu, cpl, 0, external, out ushort newSs, out var descriptor, out pointer))
            {
                return false;
            }

            descriptor.Load(&ss, newSs);
        }

        var stack = new StackFrame(cpu, ss, pointer, isLong: false, size, InnerStack.Privilege(cpu, cpl));
        if (!TryPush(cpu, in guestEvent, ref stack, inner, virtual8086))
        {
            if (stack.Exceeded)
            {
                Faults.Record(cpu, ExceptionVector.StackFault, inner ? (uint)(stack.Selector & ~3) | external : external);
            }

            return false;
        }

        if (!CodeTransfer.TryLoad(cpu, selector, in code, cpl))
        {
            return false;
        }

        if (inner)
        {
            *Segments.Register(cpu, SegmentIndex.Ss) = ss;
        }

        stack.Commit(cpu);
        if (virtual8086)
        {
            SegmentLoad.LoadNull(cpu, SegmentIndex.Es, 0);
            SegmentLoad.LoadNull(cpu, SegmentIndex.Ds, 0);
            SegmentLoad.LoadNull(cpu, SegmentIndex.Fs, 0);
            SegmentLoad.LoadNull(cpu, SegmentIndex.Gs, 0);
        }

        bool clearsIf = (gate.Type & 1) == 0;
        cpu->State.Rip = target;
        cpu->State.Rflags &= ~(RflagsBits.Tf | RflagsBits.Nt | RflagsBits.Rf | RflagsBits.Vm | (clearsIf ? RflagsBits.If : 0));
        cpu->State.NmiBlocked |= (byte)(guestEvent.Kind == EventKind.Nmi ? 1 : 0);
        return true;
    }

    private static bool TryPush(CpuContext* cpu, in GuestEvent guestEvent, ref StackFrame stack, bool inner, bool virtual8086)
    {
        if (virtual8086)
        {
            bool segments = stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Gs)->Selector)
                && stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Fs)->Selector)
                && stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Ds)->Selector)
                && stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Es)->Selector);
            if (!segments)
            {
                return false;
            }
        }

        if (inner && !(stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Ss)->Selector) && stack.TryPush(cpu, cpu->State.Gpr[4])))
        {
            return false;
        }

        return stack.TryPush(cpu, EventDelivery.PushedFlags(cpu, in guestEvent))
            && stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Cs)->Selector)
            && stack.TryPush(cpu, guestEvent.ReturnRip)
            && (!guestEvent.HasErrorCode || stack.TryPush(cpu, guestEvent.ErrorCode));
    }
}
