using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_userspace_memory_region
{
    public uint slot;
    public uint flags;
    public ulong guest_phys_addr;
    public ulong memory_size;
    public ulong userspace_addr;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_dirty_log
{
    public uint slot;
    public uint padding1;
    public void* dirty_bitmap;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_level
{
    public uint irq;
    public uint level;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_msi
{
    public uint address_lo;
    public uint address_hi;
    public uint data;
    public uint flags;
    public uint devid;
    public fixed byte pad[12];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_routing_irqchip
{
    public uint irqchip;
    public uint pin;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_routing_msi
{
    public uint address_lo;
    public uint address_hi;
    public uint data;
    public uint devid;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Explicit, Size = 48)]
internal struct kvm_irq_routing_entry
{
    [FieldOffset(0)]
    public uint gsi;

    [FieldOffset(4)]
    public uint type;

    [FieldOffset(8)]
    public uint flags;

    [FieldOffset(12)]
    public uint pad;

    [FieldOffset(16)]
    [NativeField("u.irqchip")]
    public kvm_irq_routing_irqchip irqchip;

    [FieldOffset(16)]
    [NativeField("u.msi")]
    public kvm_irq_routing_msi msi;
}

/// <summary>kvm_irq_routing_entry structures follow.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_routing
{
    public uint nr;
    public uint flags;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_irqfd
{
    public uint fd;
    public uint gsi;
    public uint flags;
    public uint resamplefd;
    public fixed byte pad[16];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_ioeventfd
{
    public ulong datamatch;
    public ulong addr;
    public uint len;
    public int fd;
    public uint flags;
    public fixed byte pad[36];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_clock_data
{
    public ulong clock;
    public uint flags;
    public uint pad0;
    public ulong realtime;
    public ulong host_tsc;
    public fixed uint pad[4];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_enable_cap
{
    public uint cap;
    public uint flags;
    public fixed ulong args[4];
    public fixed byte pad[64];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_pit_config
{
    public uint flags;
    public fixed uint pad[15];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_pit_channel_state
{
    public uint count;
    public ushort latched_count;
    public byte count_latched;
    public byte status_latched;
    public byte status;
    public byte read_state;
    public byte write_state;
    public byte write_latch;
    public byte rw_mode;
    public byte mode;
    public byte bcd;
    public byte gate;
    public long count_load_time;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_pit_state2
{
    [NativeField("channels[0]")]
    public kvm_pit_channel_state channel0;

    [NativeField("channels[1]")]
    public kvm_pit_channel_state channel1;

    [NativeField("channels[2]")]
    public kvm_pit_channel_state channel2;
    public uint flags;
    public fixed uint reserved[9];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_pic_state
{
    public byte last_irr;
    public byte irr;
    public byte imr;
    public byte isr;
    public byte priority_add;
    public byte irq_base;
    public byte read_reg_select;
    public byte poll;
    public byte special_mask;
    public byte init_state;
    public byte auto_eoi;
    public byte rotate_on_auto_eoi;
    public byte special_fully_nested_mode;
    public byte init4;
    public byte elcr;
    public byte elcr_mask;
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_ioapic_state
{
    public ulong base_address;
    public uint ioregsel;
    public uint id;
    public uint irr;
    public uint pad;
    public fixed ulong redirtbl[24];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Explicit, Size = 520)]
internal struct kvm_irqchip
{
    [FieldOffset(0)]
    public uint chip_id;

    [FieldOffset(4)]
    public uint pad;

    [FieldOffset(8)]
    [NativeField("chip.pic")]
    public kvm_pic_state pic;

    [FieldOffset(8)]
    [NativeField("chip.ioapic")]
    public kvm_ioapic_state ioapic;
}

/// <summary>KVM_REINJECT_CONTROL: whether missed PIT ticks are delivered late.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_reinject_control
{
    public byte pit_reinject;
    public fixed byte reserved[31];
}

[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_cpuid_entry2
{
    public uint function;
    public uint index;
    public uint flags;
    public uint eax;
    public uint ebx;
    public uint ecx;
    public uint edx;
    public fixed uint padding[3];
}

/// <summary>kvm_cpuid_entry2 structures follow.</summary>
[NativeType("linux/kvm.h")]
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_cpuid2
{
    public uint nent;
    public uint padding;
}
