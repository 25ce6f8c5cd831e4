using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>The paravirtual CPUID leaves and MSRs that KVM offers its guests (Documentation/virt/kvm/x86/cpuid.rst).</summary>
[NativeConstants("asm/kvm_para.h")]
internal static class KvmParavirtual
{
    public const uint KVM_CPUID_SIGNATURE = 0x40000000;
    public const uint KVM_CPUID_FEATURES = 0x40000001;
    public const int KVM_FEATURE_CLOCKSOURCE = 0x0;
    public const int KVM_FEATURE_NOP_IO_DELAY = 0x1;
    public const int KVM_FEATURE_CLOCKSOURCE2 = 0x3;
    public const int KVM_FEATURE_ASYNC_PF = 0x4;
    public const int KVM_FEATURE_STEAL_TIME = 0x5;
    public const int KVM_FEATURE_PV_EOI = 0x6;
    public const int KVM_FEATURE_PV_UNHALT = 0x7;
    public const int KVM_FEATURE_PV_TLB_FLUSH = 0x9;
    public const int KVM_FEATURE_PV_SEND_IPI = 0xb;
    public const int KVM_FEATURE_POLL_CONTROL = 0xc;
    public const int KVM_FEATURE_PV_SCHED_YIELD = 0xd;
    public const int KVM_FEATURE_ASYNC_PF_INT = 0xe;
    public const int KVM_FEATURE_MSI_EXT_DEST_ID = 0xf;
    public const int KVM_FEATURE_CLOCKSOURCE_STABLE_BIT = 0x18;
    public const uint MSR_KVM_WALL_CLOCK = 0x11;
    public const uint MSR_KVM_SYSTEM_TIME = 0x12;
    public const uint MSR_KVM_WALL_CLOCK_NEW = 0x4b564d00;
    public const uint MSR_KVM_SYSTEM_TIME_NEW = 0x4b564d01;
    public const uint MSR_KVM_ASYNC_PF_EN = 0x4b564d02;
    public const uint MSR_KVM_STEAL_TIME = 0x4b564d03;
    public const uint MSR_KVM_PV_EOI_EN = 0x4b564d04;
    public const uint MSR_KVM_POLL_CONTROL = 0x4b564d05;
    public const uint MSR_KVM_ASYNC_PF_INT = 0x4b564d06;
    public const int KVM_VCPU_PREEMPTED = 1;
    public const int KVM_VCPU_FLUSH_TLB = 2;
}

/// <summary>What MSR_KVM_STEAL_TIME names, in guest memory.</summary>
[NativeType("asm/kvm_para.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_steal_time
{
    public ulong steal;
    public uint version;
    public uint flags;
    public byte preempted;
    public fixed byte u8_pad[3];
    public fixed uint pad[11];
}
