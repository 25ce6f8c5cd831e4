using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM Vol. 2B, APM Vol. 3): segments of fixed contents, no memory touched.</summary>
internal static unsafe class SystemCalls
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    private const SegmentAttributes Common = SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable
        | SegmentAttributes.CodeOrData
        | SegmentAttributes.Present | SegmentAttributes.Granularity4K;

    private const SegmentAttributes Code64 = Common | SegmentAttributes.Code | SegmentAttributes.Long;
    private const SegmentAttributes Code32 = Common | SegmentAttributes.Code | SegmentAttributes.Default32;
    private const SegmentAttributes Data32 = Common | SegmentAttributes.Default32;

    [MethodImpl(Once)]
    public static Operation* SystemCall(CpuContext* cpu, Operation* op)
    {
        ref var state = ref cpu->State;
        bool from64 = (op->Flags & OperationFlags.Long) != 0;
        if (!HasSystemCalls(cpu, from64))
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        ulong flags = LazyFlags.ReadAll(cpu);
        bool longMode = (state.Efer & Efer.Lma) != 0;
        state.Gpr[1] = Faults.NextRip(cpu, op);
        if (longMode)
        {
            state.Gpr[11] = flags;
            flags &= ~(state.Msr.Sfmask | RflagsBits.Rf);
        }
        else
        {
            flags &= ~(RflagsBits.Vm | RflagsBits.If | RflagsBits.Rf);
        }

        LazyFlags.Write(cpu, flags);
        state.Rflags = flags | RflagsBits.Always;
        ushort selector = (ushort)((state.Msr.Star >> 32) & 0xfffc);
        Load(cpu, SegmentIndex.Cs, selector, longMode ? Code64 : Code32, 0);
        Load(cpu, SegmentIndex.Ss, (ushort)(selector + 8), Data32, 0);
        return Enter(cpu, from64, from64 ? state.Msr.Lstar : longMode ? state.Msr.Cstar : (uint)state.Msr.Star, 0);
    }

    /// <summary>SYSRET; <see cref="Operation.Immediate"/> is 1 with REX.W: back to 64-bit code.</summary>
    [MethodImpl(Once)]
    public static Operation* SystemReturn(CpuContext* cpu, Operation* op)
    {
        ref var state = ref cpu->State;
        bool from64 = (op->Flags & OperationFlags.Long) != 0;
        if (!HasSystemCalls(cpu, from64))
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        // AMD's processors go to any address, and fault there at CPL 3.
        bool to64 = op->Immediate != 0;
        bool canonical = !to64 || SlowAccess.IsCanonical(cpu, state.Gpr[1]);
        if (cpu->Cpl != 0 || (!canonical && cpu->Vendor == CpuVendor.Intel))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong flags = from64 ? (state.Gpr[11] & RflagsBits.Defined & ~(RflagsBits.Rf | RflagsBits.Vm)) | RflagsBits.Always
            : LazyFlags.ReadAll(cpu) | RflagsBits.If;
        LazyFlags.Write(cpu, flags);
        state.Rflags = flags;
        ushort selector = (ushort)(state.Msr.Star >> 48);
        Load(cpu, SegmentIndex.Cs, (ushort)((to64 ? selector + 16 : selector) | 3), to64 ? Code64 : Code32, 3);
        if (cpu->Vendor == CpuVendor.Intel)
        {
            Load(cpu, SegmentIndex.Ss, (ushort)((selector + 8) | 3), Data32, 3);
        }
        else
        {
            // Base, limit and attributes stay what they were (APM Vol. 3, SYSRET); the level is kept apart from them there, in SS here.
            var ss = Segments.Register(cpu, SegmentIndex.Ss);
            ss->Selector = (ushort)(selector + 8);
            ss->Attributes |= SegmentAttributes.DplMask;
        }

        if ((flags & RflagsBits.Tf) != 0 && (cpu->Requests & (int)CpuRequests.Step) == 0)
        {
            // The trap that SYSCALL's masking put off comes before the next instruction.
            cpu->State.PendingDebug |= DebugRegisters.SingleStep;
        }

        return Enter(cpu, to64 && canonical, to64 ? state.Gpr[1] : (uint)state.Gpr[1], 3);
    }

    [MethodImpl(Once)]
    public static Operation* SystemEnter(CpuContext* cpu, Operation* op)
    {
        ref var state = ref cpu->State;
        if (!HasSystemEnter(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        if ((state.Cr0 & Cr0.Pe) == 0 || (state.Msr.SysenterCs & 0xfffc) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        bool longMode = (state.Efer & Efer.Lma) != 0;
        state.Rflags &= ~(RflagsBits.Vm | RflagsBits.If | RflagsBits.Rf);
        ushort selector = (ushort)(state.Msr.SysenterCs & 0xfffc);
        Load(cpu, SegmentIndex.Cs, selector, longMode ? Code64 : Code32, 0);
        Load(cpu, SegmentIndex.Ss, (ushort)(selector + 8), Data32, 0);
        state.Gpr[4] = longMode ? state.Msr.SysenterEsp : (uint)state.Msr.SysenterEsp;
        return Enter(cpu, false, longMode ? state.Msr.SysenterEip : (uint)state.Msr.SysenterEip, 0);
    }

    [MethodImpl(Once)]
    public static Operation* SystemExit(CpuContext* cpu, Operation* op)
    {
        ref var state = ref cpu->State;
        if (!HasSystemEnter(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        bool to64 = op->Immediate != 0;
        bool valid = (state.Cr0 & Cr0.Pe) != 0 && (state.Msr.SysenterCs & 0xfffc) != 0 && cpu->Cpl == 0
            && (!to64 || (SlowAccess.IsCanonical(cpu, state.Gpr[1]) && SlowAccess.IsCanonical(cpu, state.Gpr[2])));
        if (!valid)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ushort selector = (ushort)(state.Msr.SysenterCs & 0xfffc);
        Load(cpu, SegmentIndex.Cs, (ushort)((selector + (to64 ? 32 : 16)) | 3), to64 ? Code64 : Code32, 3);
        Load(cpu, SegmentIndex.Ss, (ushort)((selector + (to64 ? 40 : 24)) | 3), Data32, 3);
        state.Gpr[4] = to64 ? state.Gpr[1] : (uint)state.Gpr[1];
        return Enter(cpu, false, to64 ? state.Gpr[2] : (uint)state.Gpr[2], 3);
    }

    /// <summary>
    /// Whether SYSCALL and SYSRET exist: with EFER.SCE, and on Intel's processors in 64-bit mode alone (SDM Vol. 2B, SYSCALL); on AMD's in
    /// every protected mode (APM Vol. 3, SYSCALL).
    /// </summary>
    private static bool HasSystemCalls(CpuContext* cpu, bool in64)
    {
        ref var state = ref cpu->State;
        return (state.Efer & Efer.Sce) != 0
            && (in64 || (cpu->Vendor == CpuVendor.Amd && (state.Cr0 & Cr0.Pe) != 0 && (state.Rflags & RflagsBits.Vm) == 0));
    }

    /// <summary>AMD's processors have no SYSENTER and SYSEXIT in long mode (APM Vol. 3, SYSENTER).</summary>
    private static bool HasSystemEnter(CpuContext* cpu) => cpu->Vendor == CpuVendor.Intel || (cpu->State.Efer & Efer.Lma) == 0;

    private static void Load(CpuContext* cpu, SegmentIndex segment, ushort selector, SegmentAttributes attributes, uint dpl) =>
        *Segments.Register(cpu, segment) = new SegmentRegister
        {
            Selector = selector, Limit = uint.MaxValue, Attributes = attributes | (SegmentAttributes)(dpl << 5),
        };

    /// <summary>Goes on at the target; within 64-bit mode only the privilege changes, and the loop need not be left.</summary>
    private static Operation* Enter(CpuContext* cpu, bool stays64, ulong rip, byte cpl)
    {
        bool leave = !stays64 || (cpu->State.Rflags & RflagsBits.Tf) != 0
            || ((cpu->State.Rflags & RflagsBits.If) != 0 && cpu->InterruptLatched != 0);
        if (!leave)
        {
            cpu->Cpl = cpl;
            Tlb.Of(cpu).SelectPrivilege(cpu);
            return BlockChain.Jump(cpu, rip);
        }

        ProcessorMode.Update(cpu);
        cpu->State.Rip = rip;
        cpu->Outcome = Outcome.Continue;
        return null;
    }
}
