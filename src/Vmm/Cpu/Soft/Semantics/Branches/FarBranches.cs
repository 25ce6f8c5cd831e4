using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>JMP and CALL to another code segment, through call gates and to tasks (SDM Vol. 3A §5.8, §7.3).</summary>
internal static unsafe class FarBranches
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    /// <summary>Direct: selector in <see cref="Operation.Displacement"/>, offset in <see cref="Operation.Immediate"/>.</summary>
    [MethodImpl(Once)]
    public static Operation* Jump<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> => Transfer<TWidth>(cpu, op, (ushort)op->Displacement, op->Immediate, call: false);

    [MethodImpl(Once)]
    public static Operation* Call<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> => Transfer<TWidth>(cpu, op, (ushort)op->Displacement, op->Immediate, call: true);

    [MethodImpl(Once)]
    public static Operation* JumpMemory<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> => Indirect<TWidth>(cpu, op, call: false);

    [MethodImpl(Once)]
    public static Operation* CallMemory<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> => Indirect<TWidth>(cpu, op, call: true);

    /// <summary>IRET with NT set: back to the task that the TSS links to.</summary>
    public static Operation* TaskReturn(CpuContext* cpu, Operation* op)
    {
        var task = Segments.Register(cpu, SegmentIndex.Tr);
        if (!SlowAccess.TryReadSystem(cpu, new(task->Base), out ushort link))
        {
            return Faults.Faulted(cpu, op);
        }

        return Switched(cpu, op, TaskSwitch.TryReturn(cpu, link, Faults.NextRip(cpu, op)));
    }

    private static Operation* Indirect<TWidth>(CpuContext* cpu, Operation* op, bool call)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong address = GuestAccess.EffectiveAddress(cpu, op);
        ulong above = address + (ulong)sizeof(TWidth);
        above = (op->Flags & OperationFlags.Address16) != 0
            ? (ushort)above
            : (op->Flags & OperationFlags.Address32) != 0 ? (uint)above : above;
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, address, out TWidth offset)
            || !GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, above, out ushort selector))
        {
            return Faults.Faulted(cpu, op);
        }

        return Transfer<TWidth>(cpu, op, selector, ulong.CreateTruncating(offset), call);
    }

    private static Operation* Transfer<TWidth>(CpuContext* cpu, Operation* op, ushort selector, ulong offset, bool call)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if ((cpu->State.Cr0 & Cr0.Pe) == 0 || (cpu->State.Rflags & RflagsBits.Vm) != 0)
        {
            return TransferReal<TWidth>(cpu, op, selector, offset, call);
        }

        if (!CodeTransfer.TryFetch(cpu, selector, 0, out var descriptor))
        {
            return Faults.Faulted(cpu, op);
        }

        if (!descriptor.IsCodeOrData)
        {
            return TransferSystem(cpu, op, selector, in descriptor, call);
        }

        if (!CodeTransfer.TryCheckDirect(cpu, selector, in descriptor) || !CodeTransfer.TryCheckTarget(cpu, in descriptor, offset))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong stack = cpu->State.Gpr[4];
        if (call && !TryPushReturn<TWidth>(cpu, op))
        {
            cpu->State.Gpr[4] = stack;
            return Faults.Faulted(cpu, op);
        }

        if (!CodeTransfer.TryLoad(cpu, selector, in descriptor, cpu->Cpl))
        {
            cpu->State.Gpr[4] = stack;
            return Faults.Faulted(cpu, op);
        }

        return FarReturns.GoOn(cpu, offset);
    }

    private static Operation* TransferReal<TWidth>(CpuContext* cpu, Operation* op, ushort selector, ulong offset, bool call)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (offset > Segments.Register(cpu, SegmentIndex.Cs)->Limit)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong stack = cpu->State.Gpr[4];
        if (call && !TryPushReturn<TWidth>(cpu, op))
        {
            cpu->State.Gpr[4] = stack;
            return Faults.Faulted(cpu, op);
        }

        SegmentLoad.LoadReal(cpu, SegmentIndex.Cs, selector);
        return FarReturns.GoOn(cpu, offset);
    }

    private static bool TryPushReturn<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> =>
        GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(Segments.Register(cpu, SegmentIndex.Cs)->Selector))
        && GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(Faults.NextRip(cpu, op)));

    /// <summary>Gates and task state segments.</summary>
    private static Operation* TransferSystem(CpuContext* cpu, Operation* op, ushort selector, in Descriptor descriptor, bool call)
    {
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        uint error = (uint)selector & ~3u;
        bool known = descriptor.Type switch
        {
            12 => true,
            1 or 4 or 5 or 9 => !longMode,
            _ => false,
        };
        if (!known || descriptor.Dpl < cpu->Cpl || descriptor.Dpl < (selector & 3))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection, error);
        }

        if (!descriptor.IsPresent)
        {
            return Faults.Raise(cpu, op, ExceptionVector.SegmentNotPresent, error);
        }

        switch (descriptor.Type)
        {
            case 1 or 9:
                return Switched(cpu, op, TaskSwitch.TrySwitch(cpu, selector, call, Faults.NextRip(cpu, op)));
            case 5:
                return Switched(cpu, op, TaskSwitch.TrySwitch(cpu, descriptor.GateSelector, call, Faults.NextRip(cpu, op)));
            default:
                if (!CallGate.TryEnter(cpu, op, selector, in descriptor, call, out ulong rip))
                {
                    return Faults.Faulted(cpu, op);
                }

                return FarReturns.GoOn(cpu, rip);
        }
    }

    /// <summary>After a task switch RIP is the new task's; a fault then belongs to the new task.</summary>
    private static Operation* Switched(CpuContext* cpu, Operation* op, TaskSwitchResult result)
    {
        switch (result)
        {
            case TaskSwitchResult.Refused:
                return Faults.Faulted(cpu, op);
            case TaskSwitchResult.FaultInNewTask:
                ProcessorMode.Update(cpu);
                cpu->Outcome = Outcome.Exception;
                return null;
            default:
                return FarReturns.GoOn(cpu, cpu->State.Rip);
        }
    }
}
