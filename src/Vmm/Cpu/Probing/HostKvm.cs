using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Probing;

/// <summary>
/// What a guest of this host's KVM finds that cannot be changed. The soft engine keeps to it, so that its guests can go on under KVM.
/// Found out once, when first asked.
/// </summary>
internal static class HostKvm
{
    /// <summary>Where there is no KVM no saved guest can meet it, and a round number will do.</summary>
    private const uint FrequencyWithoutKvm = 1_000_000;

    private const uint PcidBit = 1 << 17;
    private const uint InvpcidBit = 1 << 10;

    private static readonly Lazy<(uint Kilohertz, bool HasPcid, bool HasInvpcid)> s_found = new(Look);

    /// <summary>Ticks of the time stamp counter per millisecond.</summary>
    public static uint TscKilohertz => s_found.Value.Kilohertz;

    /// <summary>CR4.PCIDE may be set: KVM refuses the state of a guest that uses what its CPUID lacks.</summary>
    public static bool HasPcid => s_found.Value.HasPcid;

    public static bool HasInvpcid => s_found.Value.HasInvpcid;

    /// <summary>Finds it out now: later there may be no KVM for this process.</summary>
    public static void Ask() => _ = s_found.Value;

    private static (uint Kilohertz, bool HasPcid, bool HasInvpcid) Look()
    {
        using var device = KvmDevice.TryOpen(out _);
        try
        {
            if (device is not null)
            {
                using var vm = device.CreateVm();
                using var vcpu = new FileDescriptor(
                    KvmCalls.Require(vm.Number, KvmRequests.KVM_CREATE_VCPU, (nuint)0, nameof(KvmRequests.KVM_CREATE_VCPU)));
                KvmCpuid.ForHost(device).Apply(vcpu, CpuPlace.Alone);
                int kilohertz = KvmCalls.Control(vcpu.Number, KvmRequests.KVM_GET_TSC_KHZ, (nuint)0);
                var leaves = KvmCpuid.ShownBy(vcpu);
                return (kilohertz > 0 ? (uint)kilohertz : FrequencyWithoutKvm,
                    (leaves.FirstOrDefault(leaf => leaf.function == 1).ecx & PcidBit) != 0,
                    (leaves.FirstOrDefault(leaf => leaf is { function: 7, index: 0 }).ebx & InvpcidBit) != 0);
            }
        }
        catch (LinuxException)
        {
            // A KVM that cannot make a VM is none.
        }

        return (FrequencyWithoutKvm, true, true);
    }
}
