using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Events;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>INT n, INT3, INTO, INT1 (SDM Vol. 2A, INT n).</summary>
internal static unsafe class SoftwareInterrupts
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Interrupt(CpuContext* cpu, Operation* op)
    {
        byte vector = (byte)op->Immediate;
        if ((cpu->State.Rflags & RflagsBits.Vm) == 0 || (cpu->State.Cr0 & Cr0.Pe) == 0)
        {
            return Deliver(cpu, op, vector, EventKind.SoftwareInterrupt);
        }

        // Virtual-8086 mode: to the program's own handler if the VME redirection bitmap says so (SDM Vol. 3B §20.3.3).
        if ((cpu->State.Cr4 & Cr4.Vme) != 0)
        {
            if (!TryReadRedirection(cpu, vector, out bool toProgram))
            {
                return Faults.Faulted(cpu, op);
            }

            if (toProgram)
            {
                return EnterProgram(cpu, op, vector);
            }
        }

        return cpu->Iopl < 3
            ? Faults.Raise(cpu, op, ExceptionVector.GeneralProtection)
            : Deliver(cpu, op, vector, EventKind.SoftwareInterrupt);
    }

    [MethodImpl(Once)]
    public static Operation* Breakpoint(CpuContext* cpu, Operation* op) =>
        Deliver(cpu, op, (byte)ExceptionVector.Breakpoint, EventKind.SoftwareException);

    [MethodImpl(Once)]
    public static Operation* Overflow(CpuContext* cpu, Operation* op) =>
        LazyFlags.Overflow(cpu)
            ? Deliver(cpu, op, (byte)ExceptionVector.Overflow, EventKind.SoftwareException)
            : BlockChain.FallThrough(cpu, op, Faults.NextRip(cpu, op));

    [MethodImpl(Once)]
    public static Operation* Debug(CpuContext* cpu, Operation* op) =>
        Deliver(cpu, op, (byte)ExceptionVector.Debug, EventKind.PrivilegedSoftware);

    private static Operation* Deliver(CpuContext* cpu, Operation* op, byte vector, EventKind kind)
    {
        ulong blockRip = cpu->State.Rip;
        var guestEvent = new GuestEvent(vector, kind, Faults.NextRip(cpu, op));
        cpu->State.Rip = Faults.Rip(cpu, op);
        if (EventDelivery.TryOnce(cpu, in guestEvent))
        {
            ProcessorMode.Update(cpu);
            cpu->Outcome = Outcome.Continue;
            return null;
        }

        cpu->State.Rip = blockRip;
        return Faults.Faulted(cpu, op);
    }

    private static bool TryReadRedirection(CpuContext* cpu, byte vector, out bool toProgram)
    {
        toProgram = false;
        var task = Segments.Register(cpu, SegmentIndex.Tr);
        if (task->Limit < 103)
        {
            return true;
        }

        if (!SlowAccess.TryReadSystem(cpu, new(task->Base + 102), out ushort permissions))
        {
            return false;
        }

        // The 32 bytes before the I/O permission bitmap.
        uint at = (uint)permissions - 32 + ((uint)vector >> 3);
        if (permissions < 32 || at > task->Limit)
        {
            return true;
        }

        if (!SlowAccess.TryReadSystem(cpu, new(task->Base + at), out byte bits))
        {
            return false;
        }

        toProgram = (bits & (1 << (vector & 7))) == 0;
        return true;
    }

    private static Operation* EnterProgram(CpuContext* cpu, Operation* op, byte vector)
    {
        bool direct = cpu->Iopl == 3;
        ulong flags = LazyFlags.ReadAll(cpu);
        if (!direct)
        {
            flags = (flags & ~RflagsBits.If) | RflagsBits.Iopl | ((flags & RflagsBits.Vif) != 0 ? RflagsBits.If : 0);
        }

        ulong stack = cpu->State.Gpr[4];
        if (!SlowAccess.TryReadSystem(cpu, new((uint)vector * 4), out uint entry)
            || !GuestAccess.TryPush(cpu, op, (ushort)flags)
            || !GuestAccess.TryPush(cpu, op, Segments.Register(cpu, SegmentIndex.Cs)->Selector)
            || !GuestAccess.TryPush(cpu, op, (ushort)Faults.NextRip(cpu, op)))
        {
            cpu->State.Gpr[4] = stack;
            return Faults.Faulted(cpu, op);
        }

        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Cs, (ushort)(entry >> 16));
        cpu->State.Rflags &= ~(RflagsBits.Tf | (direct ? RflagsBits.If : RflagsBits.Vif));
        return FarReturns.GoOn(cpu, (ushort)entry);
    }
}
