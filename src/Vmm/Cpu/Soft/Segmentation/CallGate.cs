using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>Call gates of 16, 32 and 64 bits (SDM Vol. 3A §5.8.3-5.8.5).</summary>
internal static unsafe class CallGate
{
    /// <summary>Goes through the gate: CS, SS and the stack are the target's. False: a fault is recorded and nothing has changed.</summary>
    public static bool TryEnter(CpuContext* cpu, Operation* op, ushort gateSelector, in Descriptor gate, bool call, out ulong rip)
    {
        rip = 0;
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        uint size = longMode ? 8u : gate.Type == 12 ? 4u : 2u;
        var full = gate;
        if (longMode)
        {
            if (!DescriptorTables.TryReadSystem(cpu, gateSelector, out full, out bool inTable))
            {
                return false;
            }

            if (!inTable || ((full.High >> 40) & 0x1f) != 0)
            {
                return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, (uint)gateSelector & ~3u);
            }
        }

        ushort selector = full.GateSelector;
        if (!CodeTransfer.TryFetch(cpu, selector, 0, out var code))
        {
            return false;
        }

        uint error = (uint)selector & ~3u;
        bool permitted = code.IsCode && code.Dpl <= cpu->Cpl && (!longMode || (code.IsLong && !code.IsDefault32))
            && (call || code.IsConforming || code.Dpl == cpu->Cpl);
        if (!permitted)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.GeneralProtection, error);
        }

        if (!code.IsPresent)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.SegmentNotPresent, error);
        }

        rip = longMode ? full.LongGateOffset : size == 4 ? full.GateOffset : (ushort)full.GateOffset;
        if (!CodeTransfer.TryCheckTarget(cpu, in code, rip))
        {
            return false;
        }

        if (call && !code.IsConforming && code.Dpl < cpu->Cpl)
        {
            return TryEnterInner(cpu, op, selector, in code, (int)(gate.Low >> 32) & 0x1f, size);
        }

        if (call)
        {
            ulong* frame = stackalloc ulong[2] { Faults.NextRip(cpu, op), Segments.Register(cpu, SegmentIndex.Cs)->Selector };
            var stack = new StackFrame(
                cpu, *Segments.Register(cpu, SegmentIndex.Ss), cpu->State.Gpr[4], cpu->IsCode64, size, Tlb.Current(cpu));
            if (!stack.TryPush(cpu, frame[1]) || !stack.TryPush(cpu, frame[0]))
            {
                return CodeTransferStackFault(cpu, stack);
            }

            stack.Commit(cpu);
        }

        return CodeTransfer.TryLoad(cpu, selector, in code, cpu->Cpl);
    }

    private static bool TryEnterInner(CpuContext* cpu, Operation* op, ushort selector, in Descriptor code, int parameters, uint size)
    {
        int cpl = code.Dpl;
        if (!InnerStack.TryFind(cpu, cpl, 0, 0, out ushort ss, out var descriptor, out ulong stackPointer))
        {
            return false;
        }

        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        var register = default(SegmentRegister);
        if (longMode)
        {
            register = new SegmentRegister { Selector = ss, Attributes = SegmentAttributes.Unusable | (SegmentAttributes)(cpl << 5) };
        }
        else
        {
            descriptor.Load(&register, ss);
        }

        var stack = new StackFrame(cpu, register, stackPointer, longMode, size, InnerStack.Privilege(cpu, cpl));
        var outerSs = *Segments.Register(cpu, SegmentIndex.Ss);
        ulong outerStack = cpu->State.Gpr[4];
        bool pushed = stack.TryPush(cpu, outerSs.Selector) && stack.TryPush(cpu, outerStack);
        for (int i = parameters - 1; pushed && !longMode && i >= 0; i--)
        {
            ulong value = 0;
            uint offset = (uint)outerStack + ((uint)i * size);
            if ((outerSs.Attributes & SegmentAttributes.Default32) == 0)
            {
                offset = (ushort)offset;
            }

            bool read = size == 4
                ? GuestAccess.TryReadAt(cpu, op, SegmentIndex.Ss, offset, out uint wide) && (value = wide) == wide
                : GuestAccess.TryReadAt(cpu, op, SegmentIndex.Ss, offset, out ushort narrow) && (value = narrow) == narrow;
            if (!read)
            {
                return false;
            }

            pushed = stack.TryPush(cpu, value);
        }

        pushed = pushed && stack.TryPush(cpu, Segments.Register(cpu, SegmentIndex.Cs)->Selector)
            && stack.TryPush(cpu, Faults.NextRip(cpu, op));
        if (!pushed)
        {
            return CodeTransferStackFault(cpu, stack);
        }

        if (!CodeTransfer.TryLoad(cpu, selector, in code, cpl))
        {
            return false;
        }

        *Segments.Register(cpu, SegmentIndex.Ss) = register;
        stack.Commit(cpu);
        return true;
    }

    private static bool CodeTransferStackFault(CpuContext* cpu, in StackFrame stack)
    {
        if (stack.Exceeded)
        {
            Faults.Record(cpu, ExceptionVector.StackFault, (uint)stack.Selector & ~3u);
        }

        return false;
    }
}
