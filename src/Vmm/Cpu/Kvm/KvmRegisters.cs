using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>General, segment and control registers and pending events in KVM's form and in ours. Pure conversions.</summary>
internal static unsafe class KvmRegisters
{
    private const byte ExternalInterrupt = 0;
    private const byte NonMaskable = 2;
    private const byte HardwareException = 3;
    private const byte Debug = 1;
    private const byte SoftwareInterrupt = 4;
    private const ushort Valid = 0x100;

    private const byte ShadowSti = 1;
    private const byte ShadowMovSs = 2;

    public static void FromKvm(in kvm_regs from, CpuState* to)
    {
        to->Gpr[0] = from.rax;
        to->Gpr[1] = from.rcx;
        to->Gpr[2] = from.rdx;
        to->Gpr[3] = from.rbx;
        to->Gpr[4] = from.rsp;
        to->Gpr[5] = from.rbp;
        to->Gpr[6] = from.rsi;
        to->Gpr[7] = from.rdi;
        to->Gpr[8] = from.r8;
        to->Gpr[9] = from.r9;
        to->Gpr[10] = from.r10;
        to->Gpr[11] = from.r11;
        to->Gpr[12] = from.r12;
        to->Gpr[13] = from.r13;
        to->Gpr[14] = from.r14;
        to->Gpr[15] = from.r15;
        to->Zero = 0;
        to->Rip = from.rip;
        to->Rflags = from.rflags;
    }

    public static void ToKvm(CpuState* from, out kvm_regs to) => to = new kvm_regs
    {
        rax = from->Gpr[0],
        rcx = from->Gpr[1],
        rdx = from->Gpr[2],
        rbx = from->Gpr[3],
        rsp = from->Gpr[4],
        rbp = from->Gpr[5],
        rsi = from->Gpr[6],
        rdi = from->Gpr[7],
        r8 = from->Gpr[8],
        r9 = from->Gpr[9],
        r10 = from->Gpr[10],
        r11 = from->Gpr[11],
        r12 = from->Gpr[12],
        r13 = from->Gpr[13],
        r14 = from->Gpr[14],
        r15 = from->Gpr[15],
        rip = from->Rip,
        rflags = from->Rflags | 2, // Bit 1 is always set (SDM Vol. 1 §3.4.3).
    };

    public static void FromKvm(in kvm_sregs from, CpuState* to)
    {
        ref var segments = ref to->Segments;
        segments[SegmentIndex.Es] = KvmSegments.FromKvm(from.es);
        segments[SegmentIndex.Cs] = KvmSegments.FromKvm(from.cs);
        segments[SegmentIndex.Ss] = KvmSegments.FromKvm(from.ss);
        segments[SegmentIndex.Ds] = KvmSegments.FromKvm(from.ds);
        segments[SegmentIndex.Fs] = KvmSegments.FromKvm(from.fs);
        segments[SegmentIndex.Gs] = KvmSegments.FromKvm(from.gs);
        segments[SegmentIndex.Ldtr] = KvmSegments.FromKvm(from.ldt);
        segments[SegmentIndex.Tr] = KvmSegments.FromKvm(from.tr);
        to->Gdtr = KvmSegments.FromKvm(from.gdt);
        to->Idtr = KvmSegments.FromKvm(from.idt);
        to->Cr0 = from.cr0;
        to->Cr2 = from.cr2;
        to->Cr3 = from.cr3;
        to->Cr4 = from.cr4;
        to->Cr8 = from.cr8;
        to->Efer = from.efer;
        to->Msr.ApicBase = from.apic_base;
    }

    /// <summary>Fills in all but the interrupt bitmap, which stays as it is.</summary>
    public static void ToKvm(CpuState* from, ref kvm_sregs to)
    {
        ref var segments = ref from->Segments;
        to.es = KvmSegments.ToKvm(segments[SegmentIndex.Es]);
        to.cs = KvmSegments.ToKvm(segments[SegmentIndex.Cs]);
        to.ss = KvmSegments.ToKvm(segments[SegmentIndex.Ss]);
        to.ds = KvmSegments.ToKvm(segments[SegmentIndex.Ds]);
        to.fs = KvmSegments.ToKvm(segments[SegmentIndex.Fs]);
        to.gs = KvmSegments.ToKvm(segments[SegmentIndex.Gs]);
        to.ldt = KvmSegments.ToKvm(segments[SegmentIndex.Ldtr]);
        to.tr = KvmSegments.ToKvm(segments[SegmentIndex.Tr]);
        to.gdt = KvmSegments.ToKvm(from->Gdtr);
        to.idt = KvmSegments.ToKvm(from->Idtr);
        to.cr0 = from->Cr0;
        to.cr2 = from->Cr2;
        to.cr3 = from->Cr3;
        to.cr4 = from->Cr4;
        to.cr8 = from->Cr8;
        to.efer = from->Efer;
        to.apic_base = from->Msr.ApicBase;
    }

    public static void FromKvm(in kvm_vcpu_events from, CpuState* to)
    {
        to->InterruptShadow = (from.interrupt.shadow & KvmFlags.KVM_X86_SHADOW_INT_MOV_SS) != 0 ? ShadowMovSs
            : (from.interrupt.shadow & KvmFlags.KVM_X86_SHADOW_INT_STI) != 0 ? ShadowSti : (byte)0;
        to->NmiBlocked = from.nmi.masked;
        to->NmiPending = from.nmi.pending;
        to->PendingInit = from.smi.latched_init;
        to->PendingDebug = 0;
        to->PendingEvent = 0;
        to->PendingEventType = 0;
        to->PendingEventHasErrorCode = 0;
        to->PendingEventErrorCode = 0;
        if (from.exception.injected != 0)
        {
            to->PendingEvent = (ushort)(Valid | from.exception.nr);
            to->PendingEventType = HardwareException;
            to->PendingEventHasErrorCode = from.exception.has_error_code;
            to->PendingEventErrorCode = from.exception.error_code;
        }
        else if (from.nmi.injected != 0)
        {
            to->PendingEvent = Valid | 2;
            to->PendingEventType = NonMaskable;
        }
        else if (from.interrupt.injected != 0)
        {
            to->PendingEvent = (ushort)(Valid | from.interrupt.nr);
            to->PendingEventType = from.interrupt.soft != 0 ? SoftwareInterrupt : ExternalInterrupt;
        }
    }

    /// <summary>DR6 as KVM is to have it: with the conditions of a debug exception that it is given to deliver.</summary>
    public static ulong DebugStatus(CpuState* from) => InjectsDebug(from) ? (from->Dr[6] & ~0xfUL) | from->PendingDebug : from->Dr[6];

    /// <summary>
    /// KVM has no place for debug conditions that wait: they are delivered at once, unless another event was on its way, which ends them.
    /// </summary>
    private static bool InjectsDebug(CpuState* from) => from->PendingDebug != 0 && (from->PendingEvent & Valid) == 0;

    public static void ToKvm(CpuState* from, out kvm_vcpu_events to)
    {
        to = default;
        to.flags = KvmFlags.KVM_VCPUEVENT_VALID_NMI_PENDING | KvmFlags.KVM_VCPUEVENT_VALID_SHADOW;
        to.interrupt.shadow = from->InterruptShadow switch
        {
            ShadowSti => KvmFlags.KVM_X86_SHADOW_INT_STI,
            ShadowMovSs => KvmFlags.KVM_X86_SHADOW_INT_MOV_SS,
            _ => 0,
        };
        to.nmi.masked = from->NmiBlocked;
        to.nmi.pending = from->NmiPending;
        if (from->PendingSipi != 0)
        {
            to.flags |= KvmFlags.KVM_VCPUEVENT_VALID_SIPI_VECTOR;
            to.sipi_vector = (byte)from->PendingSipi;
        }

        if (InjectsDebug(from))
        {
            to.exception.injected = 1;
            to.exception.nr = Debug;
            return;
        }

        if ((from->PendingEvent & Valid) == 0)
        {
            return;
        }

        byte vector = (byte)from->PendingEvent;
        switch (from->PendingEventType)
        {
            case ExternalInterrupt or SoftwareInterrupt:
                to.interrupt.injected = 1;
                to.interrupt.nr = vector;
                to.interrupt.soft = from->PendingEventType == SoftwareInterrupt ? (byte)1 : (byte)0;
                break;
            case NonMaskable:
                to.nmi.injected = 1;
                break;
            default:
                to.exception.injected = 1;
                to.exception.nr = vector;
                to.exception.has_error_code = from->PendingEventHasErrorCode;
                to.exception.error_code = from->PendingEventErrorCode;
                break;
        }
    }

    public static void FromKvm(in kvm_mp_state state, in kvm_vcpu_events events, CpuState* to)
    {
        to->Activity = state.mp_state switch
        {
            KvmFlags.KVM_MP_STATE_HALTED => VcpuActivity.Halted,
            KvmFlags.KVM_MP_STATE_UNINITIALIZED or KvmFlags.KVM_MP_STATE_INIT_RECEIVED or KvmFlags.KVM_MP_STATE_SIPI_RECEIVED =>
                VcpuActivity.WaitForSipi,
            _ => VcpuActivity.Active,
        };
        to->PendingSipi = state.mp_state == KvmFlags.KVM_MP_STATE_SIPI_RECEIVED ? (ushort)(Valid | (byte)events.sipi_vector) : (ushort)0;
    }

    public static kvm_mp_state ActivityToKvm(CpuState* from) => new()
    {
        mp_state = from->Activity switch
        {
            VcpuActivity.Halted => KvmFlags.KVM_MP_STATE_HALTED,
            VcpuActivity.WaitForSipi when from->PendingSipi != 0 => KvmFlags.KVM_MP_STATE_SIPI_RECEIVED,
            VcpuActivity.WaitForSipi => KvmFlags.KVM_MP_STATE_INIT_RECEIVED,
            _ => KvmFlags.KVM_MP_STATE_RUNNABLE,
        },
    };
}
