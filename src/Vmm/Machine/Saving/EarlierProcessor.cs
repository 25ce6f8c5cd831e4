using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>The processor that guests met whose states do not say: builds before them had one processor per engine.</summary>
internal static class EarlierProcessor
{
    /// <summary>Features that the soft engine has been given since.</summary>
    private static readonly string[] s_since = ["zero_fcs_fds"];

    /// <summary>The soft engine's was Intel's, on every host. KVM's was the host's, as it is today: null.</summary>
    public static CpuDescription? Of(string engine, MachineSpec spec)
    {
        if (engine != "soft")
        {
            return null;
        }

        try
        {
            var offered = CpuDescription.Of(SoftOffer.ForGuests.Resolve(spec.Cpu with { Vendor = CpuVendor.Intel }));
            return offered with { Features = [.. offered.Features.Except(s_since)] };
        }
        catch (CpuUnavailableException refused)
        {
            throw new InvalidDataException($"The state's processor cannot be had: {refused.Message}.", refused);
        }
    }
}
