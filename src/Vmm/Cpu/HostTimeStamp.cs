using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu;

/// <summary>The host's time stamp counter, as KVM knows it.</summary>
internal static class HostTimeStamp
{
    /// <summary>Where there is no KVM no saved guest can meet it, and a round number will do.</summary>
    private const uint WithoutKvm = 1_000_000;

    private static readonly Lazy<uint> s_kilohertz = new(Measure);

    /// <summary>Ticks per millisecond.</summary>
    public static uint Kilohertz => s_kilohertz.Value;

    private static uint Measure()
    {
        using var device = KvmDevice.TryOpen(out _);
        try
        {
            if (device is not null)
            {
                using var vm = device.CreateVm();
                using var vcpu = new FileDescriptor(KvmCalls.Require(vm.Number, KvmRequests.KVM_CREATE_VCPU, (nuint)0, nameof(KvmRequests.KVM_CREATE_VCPU)));
                int kilohertz = KvmCalls.Control(vcpu.Number, KvmRequests.KVM_GET_TSC_KHZ, (nuint)0);
                return kilohertz > 0 ? (uint)kilohertz : WithoutKvm;
            }
        }
        catch (LinuxException)
        {
            // A KVM that cannot make a VM is none.
        }

        return WithoutKvm;
    }
}
