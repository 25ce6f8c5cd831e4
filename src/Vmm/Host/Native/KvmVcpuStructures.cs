using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_regs
{
    public ulong rax;
    public ulong rbx;
    public ulong rcx;
    public ulong rdx;
    public ulong rsi;
    public ulong rdi;
    public ulong rsp;
    public ulong rbp;
    public ulong r8;
    public ulong r9;
    public ulong r10;
    public ulong r11;
    public ulong r12;
    public ulong r13;
    public ulong r14;
    public ulong r15;
    public ulong rip;
    public ulong rflags;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_segment
{
    [NativeField("base")]
    public ulong @base;
    public uint limit;
    public ushort selector;
    public byte type;
    public byte present;
    public byte dpl;
    public byte db;
    public byte s;
    public byte l;
    public byte g;
    public byte avl;
    public byte unusable;
    public byte padding;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_dtable
{
    [NativeField("base")]
    public ulong @base;
    public ushort limit;
    public fixed ushort padding[3];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_sregs
{
    public kvm_segment cs;
    public kvm_segment ds;
    public kvm_segment es;
    public kvm_segment fs;
    public kvm_segment gs;
    public kvm_segment ss;
    public kvm_segment tr;
    public kvm_segment ldt;
    public kvm_dtable gdt;
    public kvm_dtable idt;
    public ulong cr0;
    public ulong cr2;
    public ulong cr3;
    public ulong cr4;
    public ulong cr8;
    public ulong efer;
    public ulong apic_base;
    public fixed ulong interrupt_bitmap[4];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_sregs2
{
    public kvm_segment cs;
    public kvm_segment ds;
    public kvm_segment es;
    public kvm_segment fs;
    public kvm_segment gs;
    public kvm_segment ss;
    public kvm_segment tr;
    public kvm_segment ldt;
    public kvm_dtable gdt;
    public kvm_dtable idt;
    public ulong cr0;
    public ulong cr2;
    public ulong cr3;
    public ulong cr4;
    public ulong cr8;
    public ulong efer;
    public ulong apic_base;
    public ulong flags;
    public fixed ulong pdptrs[4];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_fpu
{
    public fixed byte fpr[8 * 16];
    public ushort fcw;
    public ushort fsw;
    public byte ftwx;
    public byte pad1;
    public ushort last_opcode;
    public ulong last_ip;
    public ulong last_dp;
    public fixed byte xmm[16 * 16];
    public uint mxcsr;
    public uint pad2;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msr_entry
{
    public uint index;
    public uint reserved;
    public ulong data;
}

/// <summary>kvm_msr_entry structures follow.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msrs
{
    public uint nmsrs;
    public uint pad;
}

/// <summary>32-bit MSR numbers follow.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msr_list
{
    public uint nmsrs;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_lapic_state
{
    public fixed byte regs[KvmFlags.KVM_APIC_REG_SIZE];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_debugregs
{
    public fixed ulong db[4];
    public ulong dr6;
    public ulong dr7;
    public ulong flags;
    public fixed ulong reserved[9];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_xsave
{
    public fixed uint region[1024];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_xcr
{
    public uint xcr;
    public uint reserved;
    public ulong value;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_xcrs
{
    public uint nr_xcrs;
    public uint flags;

    [NativeField("xcrs[0]")]
    public kvm_xcr xcr0;

    /// <summary>The other 15 entries; x86 has only XCR0.</summary>
    private fixed ulong _others[15 * 2];
    public fixed ulong padding[16];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_mp_state
{
    public uint mp_state;
}

/// <summary>The signal set follows, 8 bytes.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_signal_mask
{
    public uint len;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_translation
{
    public ulong linear_address;
    public ulong physical_address;
    public byte valid;
    public byte writeable;
    public byte usermode;
    public fixed byte pad[5];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_device_attr
{
    public uint flags;
    public uint group;
    public ulong attr;
    public ulong addr;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_guest_debug
{
    public uint control;
    public uint pad;

    [NativeField("arch.debugreg")]
    public fixed ulong debugreg[8];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_vcpu_events
{
    public exception_part exception;
    public interrupt_part interrupt;
    public nmi_part nmi;
    public uint sipi_vector;
    public uint flags;
    public smi_part smi;

    [NativeField("triple_fault.pending")]
    public byte triple_fault_pending;
    public fixed byte reserved[26];
    public byte exception_has_payload;
    public ulong exception_payload;

    [NativeAnonymous]
    internal struct exception_part
    {
        public byte injected;
        public byte nr;
        public byte has_error_code;
        public byte pending;
        public uint error_code;
    }

    [NativeAnonymous]
    internal struct interrupt_part
    {
        public byte injected;
        public byte nr;
        public byte soft;
        public byte shadow;
    }

    [NativeAnonymous]
    internal struct nmi_part
    {
        public byte injected;
        public byte pending;
        public byte masked;
        public byte pad;
    }

    [NativeAnonymous]
    internal struct smi_part
    {
        public byte smm;
        public byte pending;
        public byte smm_inside_nmi;
        public byte latched_init;
    }
}
