using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Cpu.Measurement;

/// <summary>What this host's KVM can show its guests. Found out once, when first asked.</summary>
internal static class KvmOffer
{
    private static readonly Lazy<CpuOffer?> s_offer = new(Find);

    /// <summary>The processors; null where there is no KVM. Asked of KVM, and of a guest of a few instructions.</summary>
    public static CpuOffer? ForGuests => s_offer.Value;

    private static CpuOffer? Find()
    {
        using var device = KvmDevice.TryOpen(out _);
        try
        {
            return device is null ? null : KvmCpuid.OfferOf(device, GuestSpeedMeasurement.ShowsModelsOnKvm());
        }
        catch (Exception failure) when (failure is LinuxException or IOException or InvalidOperationException)
        {
            return null;
        }
    }
}
