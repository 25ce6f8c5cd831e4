namespace WebVm.Vmm.Host.Native;

/// <summary>Why KVM_RUN came back (kvm_run.exit_reason), and what its parts mean.</summary>
[NativeConstants("linux/kvm.h")]
internal static class KvmExits
{
    public const uint KVM_EXIT_UNKNOWN = 0;
    public const uint KVM_EXIT_EXCEPTION = 1;
    public const uint KVM_EXIT_IO = 2;
    public const uint KVM_EXIT_HYPERCALL = 3;
    public const uint KVM_EXIT_DEBUG = 4;
    public const uint KVM_EXIT_HLT = 5;
    public const uint KVM_EXIT_MMIO = 6;
    public const uint KVM_EXIT_IRQ_WINDOW_OPEN = 7;
    public const uint KVM_EXIT_SHUTDOWN = 8;
    public const uint KVM_EXIT_FAIL_ENTRY = 9;
    public const uint KVM_EXIT_INTR = 10;
    public const uint KVM_EXIT_SET_TPR = 11;
    public const uint KVM_EXIT_TPR_ACCESS = 12;
    public const uint KVM_EXIT_NMI = 16;
    public const uint KVM_EXIT_INTERNAL_ERROR = 17;
    public const uint KVM_EXIT_SYSTEM_EVENT = 24;
    public const uint KVM_EXIT_IOAPIC_EOI = 26;
    public const uint KVM_EXIT_X86_RDMSR = 29;
    public const uint KVM_EXIT_X86_WRMSR = 30;
    public const uint KVM_EXIT_X86_BUS_LOCK = 33;
    public const uint KVM_EXIT_NOTIFY = 37;
    public const uint KVM_EXIT_IO_IN = 0;
    public const uint KVM_EXIT_IO_OUT = 1;
    public const uint KVM_INTERNAL_ERROR_EMULATION = 1;
    public const uint KVM_INTERNAL_ERROR_SIMUL_EX = 2;
    public const uint KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
    public const uint KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
    public const ulong KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;
    public const uint KVM_SYSTEM_EVENT_SHUTDOWN = 1;
    public const uint KVM_SYSTEM_EVENT_RESET = 2;
    public const uint KVM_SYSTEM_EVENT_CRASH = 3;
}
