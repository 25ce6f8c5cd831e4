using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>MOV to and from control registers, CLTS, LMSW, SMSW, XSETBV, INVLPG, INVPCID (SDM Vol. 3A §2.5, §4.10.4).</summary>
internal static unsafe class ControlRegisters
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;
    [MethodImpl(Once)]
    public static Operation* MoveFrom(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong value;
        switch (op->Reg1)
        {
            case 0: value = cpu->State.Cr0; break;
            case 2: value = cpu->State.Cr2; break;
            case 3: value = cpu->State.Cr3; break;
            case 4: value = cpu->State.Cr4; break;
            case 8: value = CpuEnvironment.Of(cpu).Apic?.Cr8 ?? cpu->State.Cr8; break;
            default: return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        *(ulong*)((byte*)cpu + op->Reg0) = (op->Flags & OperationFlags.Long) != 0 ? value : (uint)value;
        return op + 1;
    }

    /// <summary>Ends its block: the translation of what follows may have changed.</summary>
    [MethodImpl(Once)]
    public static Operation* MoveTo(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong value = *(ulong*)((byte*)cpu + op->Reg1);
        if ((op->Flags & OperationFlags.Long) == 0)
        {
            value = (uint)value;
        }

        bool done;
        switch (op->Reg0)
        {
            case 0: done = TrySetCr0(cpu, value); break;
            case 2:
                cpu->State.Cr2 = value;
                done = true;
                break;
            case 3:
                if (AddressSpace.TryLoad(cpu, value))
                {
                    return BlockChain.Jump(cpu, Faults.NextRip(cpu, op));
                }

                done = false;
                break;
            case 4: done = TrySetCr4(cpu, value); break;
            case 8: done = TrySetCr8(cpu, value); break;
            default: return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        return done ? Faults.Leave(cpu, op) : Faults.Faulted(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* ClearTaskSwitched(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        cpu->State.Cr0 &= ~Cr0.Ts;
        return op + 1;
    }

    /// <summary>LMSW: PE can be set but not cleared.</summary>
    [MethodImpl(Once)]
    public static Operation* LoadMachineStatus(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        if (!Operand.TryRead16(cpu, op, out ushort value))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong cr0 = (cpu->State.Cr0 & ~(Cr0.Mp | Cr0.Em | Cr0.Ts)) | ((ulong)value & 0xf);
        return TrySetCr0(cpu, cr0) ? Faults.Leave(cpu, op) : Faults.Faulted(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* StoreMachineStatus(CpuContext* cpu, Operation* op) =>
        Operand.IsBarredByUmip(cpu) ? Faults.Raise(cpu, op, ExceptionVector.GeneralProtection) : Operand.Store(cpu, op, cpu->State.Cr0);

    [MethodImpl(Once)]
    public static Operation* SetExtendedControl(CpuContext* cpu, Operation* op)
    {
        if ((cpu->State.Cr4 & Cr4.Osxsave) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        ulong value = (uint)cpu->State.Gpr[0] | (cpu->State.Gpr[2] << 32);
        bool valid = cpu->Cpl == 0 && (uint)cpu->State.Gpr[1] == 0
            && VectorFeatures.IsValidXcr0(value, CpuEnvironment.Of(cpu).Profile.Xcr0);
        if (!valid)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        cpu->State.Xcr0 = value;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* InvalidatePage(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong linear = GuestAccess.EffectiveAddress(cpu, op) + Segments.Base(cpu, op, (SegmentIndex)op->Segment);
        Tlb.Of(cpu).FlushPage(cpu, new((op->Flags & OperationFlags.Long) != 0 ? linear : (uint)linear));
        return BlockChain.Jump(cpu, Faults.NextRip(cpu, op));
    }

    [MethodImpl(Once)]
    public static Operation* InvalidatePcid(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        if (!GuestAccess.TryRead(cpu, op, out UInt128 descriptor))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong type = *(ulong*)((byte*)cpu + op->Reg0);
        type = (op->Flags & OperationFlags.Long) != 0 ? type : (uint)type;
        ulong pcid = (ulong)descriptor;
        ulong linear = (ulong)(descriptor >> 64);
        bool pcids = (cpu->State.Cr4 & Cr4.Pcide) != 0;
        if (type > 3 || (type < 2 && (pcid > 0xfff || (pcid != 0 && !pcids))) || (type == 0 && !SlowAccess.IsCanonicalHere(cpu, linear)))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        var tlb = Tlb.Of(cpu);
        switch (type)
        {
            case 0: tlb.FlushPage(cpu, new(linear)); break;
            case 1: tlb.FlushPcid(cpu, (uint)pcid); break;
            default: tlb.FlushAll(cpu); break;
        }

        return BlockChain.Jump(cpu, Faults.NextRip(cpu, op));
    }

    public static bool TrySetCr0(CpuContext* cpu, ulong value)
    {
        ref var state = ref cpu->State;
        value |= Cr0.Et;
        bool paging = (value & Cr0.Pg) != 0;
        bool wasPaging = (state.Cr0 & Cr0.Pg) != 0;
        var cs = Segments.Register(cpu, SegmentIndex.Cs);
        bool valid = (value & ~Cr0.Defined) >> 32 == 0
            && !(paging && (value & Cr0.Pe) == 0)
            && !((value & Cr0.Nw) != 0 && (value & Cr0.Cd) == 0)
            && !(!paging && wasPaging && ((state.Cr4 & Cr4.Pcide) != 0 || ((state.Efer & Efer.Lma) != 0 && cpu->IsCode64)))
            && !(paging && !wasPaging && (state.Efer & Efer.Lme) != 0
                && ((state.Cr4 & Cr4.Pae) == 0 || (cs->Attributes & SegmentAttributes.Long) != 0));
        if (!valid)
        {
            return Fault(cpu);
        }

        value &= Cr0.Defined;
        bool long64 = paging && (state.Efer & Efer.Lme) != 0;
        if (paging && !long64 && (state.Cr4 & Cr4.Pae) != 0 && ((value ^ state.Cr0) & (Cr0.Pg | Cr0.Cd | Cr0.Nw)) != 0
            && !AddressSpace.TryLoadPdptes(cpu, state.Cr3))
        {
            return Fault(cpu);
        }

        ulong changed = value ^ state.Cr0;
        state.Cr0 = value;
        state.Efer = long64 ? state.Efer | Efer.Lma : state.Efer & ~Efer.Lma;
        if ((changed & (Cr0.Pg | Cr0.Wp | Cr0.Pe)) != 0)
        {
            Tlb.Of(cpu).FlushAll(cpu);
        }

        ProcessorMode.Update(cpu);
        return true;
    }

    public static bool TrySetCr4(CpuContext* cpu, ulong value)
    {
        ref var state = ref cpu->State;
        bool longMode = (state.Efer & Efer.Lma) != 0;
        ulong changed = value ^ state.Cr4;
        bool valid = (value & ~CpuEnvironment.Of(cpu).Profile.Cr4) == 0
            && !(longMode && (value & Cr4.Pae) == 0)
            && !(longMode && (changed & Cr4.La57) != 0)
            && !((changed & value & Cr4.Pcide) != 0 && (!longMode || (state.Cr3 & 0xfff) != 0));
        if (!valid)
        {
            return Fault(cpu);
        }

        const ulong ReloadsPdptes = Cr4.Pse | Cr4.Pae | Cr4.Pge | Cr4.Smep;
        if ((state.Cr0 & Cr0.Pg) != 0 && !longMode && (value & Cr4.Pae) != 0 && (changed & ReloadsPdptes) != 0
            && !AddressSpace.TryLoadPdptes(cpu, state.Cr3))
        {
            return Fault(cpu);
        }

        state.Cr4 = value;
        if ((changed & Cr4.Paging) != 0)
        {
            Tlb.Of(cpu).FlushAll(cpu);
        }

        ProcessorMode.Update(cpu);
        return true;
    }

    private static bool TrySetCr8(CpuContext* cpu, ulong value)
    {
        if (value > 15)
        {
            return Fault(cpu);
        }

        cpu->State.Cr8 = value;
        if (CpuEnvironment.Of(cpu).Apic is { } apic)
        {
            apic.Cr8 = value;
        }

        return true;
    }

    private static bool Fault(CpuContext* cpu)
    {
        Faults.Record(cpu, ExceptionVector.GeneralProtection);
        return false;
    }
}
