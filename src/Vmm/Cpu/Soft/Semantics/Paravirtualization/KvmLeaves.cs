using System.Text;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;

/// <summary>
/// The CPUID leaves by which a guest recognises KVM's paravirtual interfaces (SYSTEMS.md 003-4). The soft engine offers them as KVM
/// does, so that a guest finds the same after it was saved on one engine and restored on the other.
/// </summary>
internal static class KvmLeaves
{
    public const uint First = KvmParavirtual.KVM_CPUID_SIGNATURE;
    public const uint Last = KvmParavirtual.KVM_CPUID_FEATURES;

    /// <summary>
    /// What a guest may use. Interfaces that only save exits which cost nothing here (IPIs by hypercall, TLB flush of preempted vCPUs) are
    /// not offered, though the hypercalls work for guests that took them up elsewhere.
    /// </summary>
    public const uint Features = (1u << KvmParavirtual.KVM_FEATURE_NOP_IO_DELAY) | (1u << KvmParavirtual.KVM_FEATURE_CLOCKSOURCE2)
        | (1u << KvmParavirtual.KVM_FEATURE_STEAL_TIME) | (1u << KvmParavirtual.KVM_FEATURE_PV_EOI)
        | (1u << KvmParavirtual.KVM_FEATURE_PV_UNHALT) | (1u << KvmParavirtual.KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);

    private static readonly byte[] Signature = Encoding.ASCII.GetBytes("KVMKVMKVM\0\0\0");

    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) Read(uint leaf) => leaf switch
    {
        First => (Last, BitConverter.ToUInt32(Signature, 0), BitConverter.ToUInt32(Signature, 4), BitConverter.ToUInt32(Signature, 8)),
        Last => (Features, 0, 0, 0),
        _ => default,
    };
}
