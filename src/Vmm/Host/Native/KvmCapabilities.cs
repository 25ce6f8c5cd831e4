namespace WebVm.Vmm.Host.Native;

/// <summary>What KVM_CHECK_EXTENSION can be asked for.</summary>
[NativeConstants("linux/kvm.h")]
internal static class KvmCapabilities
{
    public const int KVM_CAP_IRQCHIP = 0;
    public const int KVM_CAP_HLT = 1;
    public const int KVM_CAP_USER_MEMORY = 3;
    public const int KVM_CAP_SET_TSS_ADDR = 4;
    public const int KVM_CAP_EXT_CPUID = 7;
    public const int KVM_CAP_NR_VCPUS = 9;
    public const int KVM_CAP_NR_MEMSLOTS = 10;
    public const int KVM_CAP_MP_STATE = 14;
    public const int KVM_CAP_IRQ_ROUTING = 25;
    public const int KVM_CAP_IRQFD = 32;
    public const int KVM_CAP_PIT2 = 33;
    public const int KVM_CAP_PIT_STATE2 = 35;
    public const int KVM_CAP_IOEVENTFD = 36;
    public const int KVM_CAP_SET_IDENTITY_MAP_ADDR = 37;
    public const int KVM_CAP_ADJUST_CLOCK = 39;
    public const int KVM_CAP_VCPU_EVENTS = 41;
    public const int KVM_CAP_INTERNAL_ERROR_DATA = 40;
    public const int KVM_CAP_DEBUGREGS = 50;
    public const int KVM_CAP_XSAVE = 55;
    public const int KVM_CAP_XCRS = 56;
    public const int KVM_CAP_TSC_CONTROL = 60;
    public const int KVM_CAP_GET_TSC_KHZ = 61;
    public const int KVM_CAP_MAX_VCPUS = 66;
    public const int KVM_CAP_TSC_DEADLINE_TIMER = 72;
    public const int KVM_CAP_SYNC_REGS = 74;
    public const int KVM_CAP_SIGNAL_MSI = 77;
    public const int KVM_CAP_READONLY_MEM = 81;
    public const int KVM_CAP_EXT_EMUL_CPUID = 95;
    public const int KVM_CAP_X86_SMM = 117;
    public const int KVM_CAP_SPLIT_IRQCHIP = 121;
    public const int KVM_CAP_MAX_VCPU_ID = 128;
    public const int KVM_CAP_X2APIC_API = 129;
    public const int KVM_CAP_IMMEDIATE_EXIT = 136;
    public const int KVM_CAP_HYPERV = 44;
    public const int KVM_CAP_NESTED_STATE = 157;
    public const int KVM_CAP_EXCEPTION_PAYLOAD = 164;
    public const int KVM_CAP_STEAL_TIME = 187;
    public const int KVM_CAP_DIRTY_LOG_RING = 192;
    public const int KVM_CAP_SREGS2 = 200;
    public const int KVM_CAP_EXIT_ON_EMULATION_FAILURE = 204;
    public const int KVM_CAP_XSAVE2 = 208;
    public const int KVM_CAP_VM_TSC_CONTROL = 214;
    public const int KVM_CAP_X86_TRIPLE_FAULT_EVENT = 218;
    public const int KVM_CAP_VM_GPA_BITS = 207;
    public const int KVM_CAP_ENFORCE_PV_FEATURE_CPUID = 190;
    public const int KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168;
}
