namespace WebVm.Vmm.Host.Native;

/// <summary>ioctl request codes of /dev/kvm, of a VM and of a vCPU (Documentation/virt/kvm/api.rst).</summary>
[NativeConstants("linux/kvm.h")]
internal static class KvmRequests
{
    public const int KVM_API_VERSION = 0xc;
    public const nuint KVM_GET_API_VERSION = 0xae00;
    public const nuint KVM_CREATE_VM = 0xae01;
    public const nuint KVM_GET_MSR_INDEX_LIST = 0xc004ae02;
    public const nuint KVM_CHECK_EXTENSION = 0xae03;
    public const nuint KVM_GET_VCPU_MMAP_SIZE = 0xae04;
    public const nuint KVM_GET_SUPPORTED_CPUID = 0xc008ae05;
    public const nuint KVM_CREATE_VCPU = 0xae41;
    public const nuint KVM_GET_DIRTY_LOG = 0x4010ae42;
    public const nuint KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
    public const nuint KVM_SET_TSS_ADDR = 0xae47;
    public const nuint KVM_SET_IDENTITY_MAP_ADDR = 0x4008ae48;
    public const nuint KVM_CREATE_IRQCHIP = 0xae60;
    public const nuint KVM_IRQ_LINE = 0x4008ae61;
    public const nuint KVM_GET_IRQCHIP = 0xc208ae62;
    public const nuint KVM_SET_IRQCHIP = 0x8208ae63;
    public const nuint KVM_SET_GSI_ROUTING = 0x4008ae6a;
    public const nuint KVM_REINJECT_CONTROL = 0xae71;
    public const nuint KVM_IRQFD = 0x4020ae76;
    public const nuint KVM_CREATE_PIT2 = 0x4040ae77;
    public const nuint KVM_SET_BOOT_CPU_ID = 0xae78;
    public const nuint KVM_IOEVENTFD = 0x4040ae79;
    public const nuint KVM_SET_CLOCK = 0x4030ae7b;
    public const nuint KVM_GET_CLOCK = 0x8030ae7c;
    public const nuint KVM_GET_PIT2 = 0x8070ae9f;
    public const nuint KVM_SET_PIT2 = 0x4070aea0;
    public const nuint KVM_SET_TSC_KHZ = 0xaea2;
    public const nuint KVM_GET_TSC_KHZ = 0xaea3;
    public const nuint KVM_SIGNAL_MSI = 0x4020aea5;
    public const nuint KVM_RUN = 0xae80;
    public const nuint KVM_GET_REGS = 0x8090ae81;
    public const nuint KVM_SET_REGS = 0x4090ae82;
    public const nuint KVM_GET_SREGS = 0x8138ae83;
    public const nuint KVM_SET_SREGS = 0x4138ae84;
    public const nuint KVM_TRANSLATE = 0xc018ae85;
    public const nuint KVM_GET_MSRS = 0xc008ae88;
    public const nuint KVM_SET_MSRS = 0x4008ae89;
    public const nuint KVM_SET_SIGNAL_MASK = 0x4004ae8b;
    public const nuint KVM_GET_FPU = 0x81a0ae8c;
    public const nuint KVM_SET_FPU = 0x41a0ae8d;
    public const nuint KVM_GET_LAPIC = 0x8400ae8e;
    public const nuint KVM_SET_LAPIC = 0x4400ae8f;
    public const nuint KVM_SET_CPUID2 = 0x4008ae90;
    public const nuint KVM_GET_CPUID2 = 0xc008ae91;
    public const nuint KVM_GET_MP_STATE = 0x8004ae98;
    public const nuint KVM_SET_MP_STATE = 0x4004ae99;
    public const nuint KVM_NMI = 0xae9a;
    public const nuint KVM_SET_GUEST_DEBUG = 0x4048ae9b;
    public const nuint KVM_GET_VCPU_EVENTS = 0x8040ae9f;
    public const nuint KVM_SET_VCPU_EVENTS = 0x4040aea0;
    public const nuint KVM_GET_DEBUGREGS = 0x8080aea1;
    public const nuint KVM_SET_DEBUGREGS = 0x4080aea2;
    public const nuint KVM_ENABLE_CAP = 0x4068aea3;
    public const nuint KVM_GET_XSAVE = 0x9000aea4;
    public const nuint KVM_SET_XSAVE = 0x5000aea5;
    public const nuint KVM_GET_XCRS = 0x8188aea6;
    public const nuint KVM_SET_XCRS = 0x4188aea7;
    public const nuint KVM_KVMCLOCK_CTRL = 0xaead;
    public const nuint KVM_GET_SREGS2 = 0x8140aecc;
    public const nuint KVM_SET_SREGS2 = 0x4140aecd;
    public const nuint KVM_GET_XSAVE2 = 0x9000aecf;
}
