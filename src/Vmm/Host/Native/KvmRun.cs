using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>The page shared with the kernel by each vCPU: the reason of the last exit and its particulars.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Explicit, Size = 2352)]
internal unsafe struct kvm_run
{
    [FieldOffset(0)]
    public byte request_interrupt_window;

    [FieldOffset(1)]
    public byte immediate_exit;

    [FieldOffset(8)]
    public uint exit_reason;

    [FieldOffset(12)]
    public byte ready_for_interrupt_injection;

    [FieldOffset(13)]
    public byte if_flag;

    [FieldOffset(14)]
    public ushort flags;

    [FieldOffset(16)]
    public ulong cr8;

    [FieldOffset(24)]
    public ulong apic_base;

    [FieldOffset(32)]
    [NativeField("hw.hardware_exit_reason")]
    public ulong hardware_exit_reason;

    [FieldOffset(32)]
    public fail_entry_part fail_entry;

    [FieldOffset(32)]
    public io_part io;

    [FieldOffset(32)]
    public debug_part debug;

    [FieldOffset(32)]
    public mmio_part mmio;

    [FieldOffset(32)]
    [NativeField("internal")]
    public internal_part internal_error;

    [FieldOffset(32)]
    public emulation_failure_part emulation_failure;

    [FieldOffset(32)]
    public system_event_part system_event;

    [FieldOffset(32)]
    [NativeField("eoi.vector")]
    public byte eoi_vector;

    [FieldOffset(32)]
    public msr_part msr;

    [FieldOffset(288)]
    public ulong kvm_valid_regs;

    [FieldOffset(296)]
    public ulong kvm_dirty_regs;

    [FieldOffset(304)]
    [NativeField("s.regs")]
    public kvm_sync_regs sync;

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct fail_entry_part
    {
        public ulong hardware_entry_failure_reason;
        public uint cpu;
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct io_part
    {
        public byte direction;
        public byte size;
        public ushort port;
        public uint count;

        /// <summary>Bytes from the start of kvm_run to the data.</summary>
        public ulong data_offset;
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct debug_part
    {
        [NativeField("arch.exception")]
        public uint exception;

        [NativeField("arch.pad")]
        public uint pad;

        [NativeField("arch.pc")]
        public ulong pc;

        [NativeField("arch.dr6")]
        public ulong dr6;

        [NativeField("arch.dr7")]
        public ulong dr7;
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct mmio_part
    {
        public ulong phys_addr;

        /// <summary>Eight bytes in C.</summary>
        public ulong data;
        public uint len;
        public byte is_write;
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct internal_part
    {
        public uint suberror;
        public uint ndata;
        public fixed ulong data[16];
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct emulation_failure_part
    {
        public uint suberror;
        public uint ndata;
        public ulong flags;
        public byte insn_size;
        public fixed byte insn_bytes[15];
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct system_event_part
    {
        public uint type;
        public uint ndata;
        public fixed ulong data[16];
    }

    [NativeAnonymous]
    [StructLayout(LayoutKind.Sequential)]
    internal struct msr_part
    {
        public byte error;
        public fixed byte pad[7];
        public uint reason;
        public uint index;
        public ulong data;
    }
}

/// <summary>The registers that KVM copies in and out with each KVM_RUN when asked to (KVM_CAP_SYNC_REGS).</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_sync_regs
{
    public kvm_regs regs;
    public kvm_sregs sregs;
    public kvm_vcpu_events events;
}
