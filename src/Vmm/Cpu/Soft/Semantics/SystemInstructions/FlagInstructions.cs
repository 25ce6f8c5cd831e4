using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>CLI, STI, PUSHF, POPF, CLAC, STAC: the flags that privilege and modes govern (SDM Vol. 3B §20.3, Vol. 2).</summary>
internal static unsafe class FlagInstructions
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;
    private const ulong Popped = RflagsBits.Arithmetic | RflagsBits.Tf | RflagsBits.Df | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id;

    [MethodImpl(Once)]
    public static Operation* ClearInterrupt(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl <= cpu->Iopl)
        {
            cpu->State.Rflags &= ~RflagsBits.If;
            return op + 1;
        }

        if (!HasVirtualInterrupts(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        cpu->State.Rflags &= ~RflagsBits.Vif;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* SetInterrupt(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl > cpu->Iopl)
        {
            if (!HasVirtualInterrupts(cpu) || (cpu->State.Rflags & RflagsBits.Vip) != 0)
            {
                return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
            }

            cpu->State.Rflags |= RflagsBits.Vif;
            return op + 1;
        }

        if ((cpu->State.Rflags & RflagsBits.If) != 0)
        {
            return op + 1;
        }

        cpu->State.Rflags |= RflagsBits.If;

        // Interrupts stay away for one more instruction; within the block nothing is taken anyway. Behind the last instruction of a block
        // (an operation without length goes on from there) the shadow has to be kept explicitly.
        if (cpu->InterruptLatched == 0 && cpu->Requests == 0 && op[1].Length != 0)
        {
            return op + 1;
        }

        cpu->State.InterruptShadow = 1;
        return Faults.Leave(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* ClearAlignmentCheck(CpuContext* cpu, Operation* op) => SetAlignmentCheck(cpu, op, 0);

    [MethodImpl(Once)]
    public static Operation* SetAlignmentCheck(CpuContext* cpu, Operation* op) => SetAlignmentCheck(cpu, op, RflagsBits.Ac);

    [MethodImpl(Once)]
    public static Operation* Push<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong flags = LazyFlags.ReadAll(cpu) & ~(RflagsBits.Rf | RflagsBits.Vm);
        if ((cpu->State.Rflags & RflagsBits.Vm) != 0 && cpu->Iopl < 3)
        {
            if (sizeof(TWidth) != 2 || (cpu->State.Cr4 & Cr4.Vme) == 0)
            {
                return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
            }

            // The virtual interrupt flag in the place of the real one, and IOPL as 3.
            flags = (flags & ~RflagsBits.If) | RflagsBits.Iopl | ((flags & RflagsBits.Vif) != 0 ? RflagsBits.If : 0);
        }

        return GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(flags)) ? op + 1 : Faults.Faulted(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* Pop<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (!GuestAccess.TryPeek(cpu, op, 0, out TWidth popped))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong value = ulong.CreateTruncating(popped);
        ulong changeable = Popped;
        if ((cpu->State.Rflags & RflagsBits.Vm) != 0 && cpu->Iopl < 3)
        {
            bool setsVirtualInterrupt = (value & RflagsBits.If) != 0 && (cpu->State.Rflags & RflagsBits.Vip) != 0;
            if (sizeof(TWidth) != 2 || (cpu->State.Cr4 & Cr4.Vme) == 0 || setsVirtualInterrupt || (value & RflagsBits.Tf) != 0)
            {
                return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
            }

            value = (value & ~RflagsBits.Vif) | ((value & RflagsBits.If) != 0 ? RflagsBits.Vif : 0);
            changeable = (changeable & 0xffff) | RflagsBits.Vif;
        }
        else
        {
            changeable |= cpu->Cpl == 0 ? RflagsBits.Iopl | RflagsBits.If : cpu->Cpl <= cpu->Iopl ? RflagsBits.If : 0;
            changeable &= sizeof(TWidth) == 2 ? 0xffff : ulong.MaxValue;
        }

        GuestAccess.SetStackPointer(cpu, op, cpu->State.Gpr[4] + (ulong)sizeof(TWidth));
        ulong before = LazyFlags.ReadAll(cpu);
        ulong after = (before & ~changeable) | (value & changeable);
        LazyFlags.Write(cpu, after);
        cpu->State.Rflags = (after & ~RflagsBits.Rf) | RflagsBits.Always;
        return AfterChange(cpu, op, before, after);
    }

    private static Operation* AfterChange(CpuContext* cpu, Operation* op, ulong before, ulong after)
    {
        ulong changed = before ^ after;
        if ((changed & RflagsBits.Ac) != 0)
        {
            Tlb.Of(cpu).SelectPrivilege(cpu);
        }

        bool enabled = (changed & after & RflagsBits.If) != 0 && (cpu->InterruptLatched != 0 || cpu->Requests != 0);
        return enabled || (after & RflagsBits.Tf) != 0 ? Faults.Leave(cpu, op) : op + 1;
    }

    private static Operation* SetAlignmentCheck(CpuContext* cpu, Operation* op, ulong value)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        cpu->State.Rflags = (cpu->State.Rflags & ~RflagsBits.Ac) | value;
        Tlb.Of(cpu).SelectPrivilege(cpu);
        return op + 1;
    }

    /// <summary>CLI and STI act on the virtual interrupt flag (SDM Vol. 3B §20.3.3, Vol. 3A §6.8.4).</summary>
    private static bool HasVirtualInterrupts(CpuContext* cpu) => (cpu->State.Rflags & RflagsBits.Vm) != 0
        ? (cpu->State.Cr4 & Cr4.Vme) != 0
        : cpu->Cpl == 3 && (cpu->State.Cr4 & Cr4.Pvi) != 0 && (cpu->State.Cr0 & Cr0.Pe) != 0;
}
