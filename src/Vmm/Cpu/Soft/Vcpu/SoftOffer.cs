using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.Soft.Semantics;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <summary>
/// What the soft engine can show its guests: both vendors' processors, with all that it implements and this host's arithmetic allows.
/// </summary>
internal static class SoftOffer
{
    /// <summary>Known, and not implemented.</summary>
    private static readonly string[] s_missing = ["avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl", "xsaves"];

    /// <summary>
    /// Guests that ask for nothing are not offered what this host's KVM lacks and would refuse the state of: they could not go on there.
    /// </summary>
    public static CpuOffer ForGuests { get; } = new("the soft engine", vendor => Available(vendor), Withheld());

    /// <summary>
    /// All that is implemented: for code of another engine's guests, whose rights are that engine's affair, and for tests.
    /// </summary>
    public static CpuProfile Everything(CpuVendor vendor) => new(CpuModel.Host, vendor, Available(vendor));

    private static CpuFeatureSet Available(CpuVendor vendor)
    {
        var features = CpuFeatureSet.Of(CpuFeature.All.Where(feature => feature.Vendor is not { } only || only == vendor));
        foreach (string name in s_missing)
        {
            features = features.Without(CpuFeature.Find(name)!);
        }

        return VectorFeatures.Restrict(features);
    }

    private static CpuFeatureSet Withheld()
    {
        var features = default(CpuFeatureSet);
        features = HostKvm.HasPcid ? features : features.With(CpuFeature.Find("pcid")!);
        return HostKvm.HasInvpcid ? features : features.With(CpuFeature.Find("invpcid")!);
    }
}
