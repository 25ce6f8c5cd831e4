namespace WebVm.Vmm.Host.Native;

/// <summary>Flags and small numbers inside KVM's structures.</summary>
[NativeConstants("linux/kvm.h")]
internal static class KvmFlags
{
    public const uint KVM_MEM_LOG_DIRTY_PAGES = 0x1;
    public const uint KVM_MEM_READONLY = 0x2;
    public const uint KVM_IRQCHIP_PIC_MASTER = 0x0;
    public const uint KVM_IRQCHIP_PIC_SLAVE = 0x1;
    public const uint KVM_IRQCHIP_IOAPIC = 0x2;
    public const int KVM_IOAPIC_NUM_PINS = 0x18;
    public const int KVM_APIC_REG_SIZE = 0x400;
    public const uint KVM_IRQ_ROUTING_IRQCHIP = 0x1;
    public const uint KVM_IRQ_ROUTING_MSI = 0x2;
    public const uint KVM_PIT_SPEAKER_DUMMY = 0x1;
    public const uint KVM_PIT_FLAGS_HPET_LEGACY = 0x1;
    public const uint KVM_PIT_FLAGS_SPEAKER_DATA_ON = 0x2;
    public const uint KVM_IRQFD_FLAG_DEASSIGN = 0x1;
    public const uint KVM_IRQFD_FLAG_RESAMPLE = 0x2;
    public const uint KVM_IOEVENTFD_FLAG_DATAMATCH = 0x1;
    public const uint KVM_IOEVENTFD_FLAG_PIO = 0x2;
    public const uint KVM_IOEVENTFD_FLAG_DEASSIGN = 0x4;
    public const uint KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 0x1;
    public const uint KVM_CLOCK_TSC_STABLE = 0x2;
    public const uint KVM_CLOCK_REALTIME = 0x4;
    public const uint KVM_CLOCK_HOST_TSC = 0x8;
    public const ulong KVM_SREGS2_FLAGS_PDPTRS_VALID = 0x1;
    public const uint KVM_VCPUEVENT_VALID_NMI_PENDING = 0x1;
    public const uint KVM_VCPUEVENT_VALID_SIPI_VECTOR = 0x2;
    public const uint KVM_VCPUEVENT_VALID_SHADOW = 0x4;
    public const uint KVM_VCPUEVENT_VALID_SMM = 0x8;
    public const uint KVM_VCPUEVENT_VALID_PAYLOAD = 0x10;
    public const uint KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 0x20;
    public const byte KVM_X86_SHADOW_INT_MOV_SS = 0x1;
    public const byte KVM_X86_SHADOW_INT_STI = 0x2;
    public const ulong KVM_SYNC_X86_REGS = 0x1;
    public const ulong KVM_SYNC_X86_SREGS = 0x2;
    public const ulong KVM_SYNC_X86_EVENTS = 0x4;
    public const uint KVM_MP_STATE_RUNNABLE = 0x0;
    public const uint KVM_MP_STATE_UNINITIALIZED = 0x1;
    public const uint KVM_MP_STATE_INIT_RECEIVED = 0x2;
    public const uint KVM_MP_STATE_HALTED = 0x3;
    public const uint KVM_MP_STATE_SIPI_RECEIVED = 0x4;
    public const uint KVM_GUESTDBG_ENABLE = 0x1;
    public const uint KVM_GUESTDBG_SINGLESTEP = 0x2;
    public const ulong KVM_X2APIC_API_USE_32BIT_IDS = 0x1;
    public const ulong KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK = 0x2;
    public const uint KVM_VCPU_TSC_CTRL = 0x0;
    public const ulong KVM_VCPU_TSC_OFFSET = 0x0;
}
