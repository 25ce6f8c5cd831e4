using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Tests.Cpu.Soft;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu;

/// <summary>Which processor a machine gets: what of a spec can be had, and what is refused with which words.</summary>
public sealed unsafe class CpuFeaturesTests
{
    private static readonly CpuVendor s_other = CpuVendors.Host == CpuVendor.Intel ? CpuVendor.Amd : CpuVendor.Intel;

    [Fact]
    public void A_machine_that_asks_for_nothing_meets_the_hosts_vendor_and_nothing_that_costs()
    {
        var profile = SoftOffer.ForGuests.Resolve(new CpuSpec());
        Assert.Equal(CpuVendors.Host, profile.Vendor);
        Assert.DoesNotContain(
            profile.Features.Named(), feature => feature.OnRequest || (feature.Vendor is { } only && only != profile.Vendor));
    }

    [Theory]
    [InlineData("x86-64-v2", "sse4_2", "avx")]
    [InlineData("x86-64-v3", "avx2", "aes")]
    public void A_model_has_its_features_and_no_others(string name, string has, string lacks)
    {
        Assert.True(CpuModels.TryParse(name, out var model));
        var profile = SoftOffer.ForGuests.Resolve(new CpuSpec { Model = model });
        Assert.True(profile.Has(has));
        Assert.False(profile.Has(lacks));
        Assert.Equal(CpuModels.Features(model).Named(), profile.Features.Named());
    }

    [Fact]
    public void A_level_that_the_engine_lacks_is_refused_by_the_features_names()
    {
        var refused = Assert.Throws<CpuUnavailableException>(() => SoftOffer.ForGuests.Resolve(new CpuSpec { Model = CpuModel.X86_64V4 }));
        Assert.Contains("x86-64-v4", refused.Message, StringComparison.Ordinal);
        Assert.Contains("avx512f", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Features_are_added_and_taken_away_and_what_needs_those_goes_too()
    {
        var profile = SoftOffer.ForGuests.Resolve(With(("la57", true), ("sse4_1", false)));
        Assert.True(profile.Has("la57"));
        Assert.False(profile.Has("sse4_1"));
        Assert.False(profile.Has("sse4_2"));
        Assert.True(profile.Has("ssse3"));
    }

    [Fact]
    public void A_feature_whose_need_is_not_there_is_refused()
    {
        var spec = With(("fma", true)) with { Model = CpuModel.X86_64V2 };
        Assert.Contains(
            "fma needs avx", Assert.Throws<CpuUnavailableException>(() => SoftOffer.ForGuests.Resolve(spec)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Both_vendors_processors_can_be_had_of_soft_and_the_hosts_alone_of_KVM()
    {
        Assert.Equal(s_other, SoftOffer.ForGuests.Resolve(new CpuSpec { Vendor = s_other }).Vendor);
        var offer = KvmOffer.ForGuests;
        if (offer is null)
        {
            Assert.Skip("This host has no usable KVM.");
        }

        var refused = Assert.Throws<CpuUnavailableException>(() => offer.Resolve(new CpuSpec { Vendor = s_other }));
        Assert.Contains(s_other.Name(), refused.Message, StringComparison.Ordinal);
        var machine = new MachineSpec { Cpu = new CpuSpec { Vendor = s_other }, Memory = MachineSpec.MinimumMemory };
        Assert.Throws<InvalidSpecException>(() => MachineAssembly.Assemble(machine with { Engine = EngineChoice.Kvm }));
        using var auto = MachineAssembly.Assemble(machine);
        Assert.Equal("soft", auto.EngineName);
    }

    [Fact]
    public void A_KVM_that_ignores_CPUID_refuses_models_and_says_so()
    {
        var offer = KvmOffer.ForGuests;
        if (offer is null or { ShowsModels: true })
        {
            Assert.Skip("This host's KVM shows guests what is set, or there is none.");
        }

        foreach (var spec in (CpuSpec[])[new CpuSpec { Model = CpuModel.X86_64V2 }, With(("sse2", false)), With(("la57", true))])
        {
            var refused = Assert.Throws<CpuUnavailableException>(() => offer.Resolve(spec));
            Assert.Contains("whatever is asked for", refused.Message, StringComparison.Ordinal);
        }

        Assert.Equal(CpuModel.Host, offer.Resolve(With(("sse2", true))).Model);
    }

    [Theory]
    [InlineData(CpuModel.Host)]
    [InlineData(CpuModel.X86_64V2)]
    [InlineData(CpuModel.X86_64V3)]
    public void KVMs_leaves_show_the_model_and_nothing_else_of_the_features(CpuModel model)
    {
        using var device = KvmDevice.TryOpen(out _);
        if (device is null)
        {
            Assert.Skip("This host has no usable KVM.");
        }

        // Whether the guest then sees them is another matter.
        var available = KvmCpuid.OfferOf(device).Available(CpuVendors.Host)!.Value;
        var wanted = model == CpuModel.Host ? available : CpuModels.Features(model);
        var profile = new CpuProfile(model, CpuVendors.Host, wanted.Except(wanted.Except(available)));
        var leaves = KvmCpuid.ForHost(device, profile).For(CpuPlace.Alone);
        var shown = Words(leaves);
        Assert.Equal(profile.Features.Named(), shown.Named());
        Assert.Equal(profile.HasLa57 ? 57u : 48u, leaves.Single(leaf => leaf.function == 0x8000_0008).eax >> 8 & 0xff);
        uint components = leaves.Where(leaf => leaf is { function: 0xd, index: 0 }).Select(leaf => leaf.eax).FirstOrDefault();
        Assert.Equal(profile.Has("xsave") ? (uint)profile.Xcr0 : 0, components);
    }

    [Fact]
    public void A_saved_guest_goes_on_with_the_processor_that_it_knows_or_is_refused_by_name()
    {
        var known = SoftOffer.ForGuests.Resolve(With(("popcnt", false)) with { Vendor = s_other });
        var further = SoftOffer.ForGuests.Continue(known.Model, known.Vendor, known.Features);
        Assert.Equal(known.Features.Named(), further.Features.Named());
        Assert.Equal(s_other, further.Vendor);
        var more = known.Features.With(CpuFeature.Find("avx512f")!);
        var refused = Assert.Throws<CpuUnavailableException>(() => SoftOffer.ForGuests.Continue(known.Model, known.Vendor, more));
        Assert.Contains("avx512f", refused.Message, StringComparison.Ordinal);
    }

    private static CpuSpec With(params (string Name, bool Offered)[] features) =>
        new() { Features = features.ToDictionary(feature => feature.Name, feature => feature.Offered) };

    private static CpuFeatureSet Words(kvm_cpuid_entry2[] leaves)
    {
        var words = default(CpuFeatureSet);
        foreach (var leaf in leaves)
        {
            uint[] registers = [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx];
            for (int i = 0; i < registers.Length; i++)
            {
                if (CpuidWords.At(leaf.function, leaf.index, i) is { } word)
                {
                    words[word] = registers[i];
                }
            }
        }

        return words;
    }
}
