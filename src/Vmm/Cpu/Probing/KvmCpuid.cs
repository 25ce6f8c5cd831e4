using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Probing;

/// <summary>
/// What CPUID tells a guest on KVM: everything that this host's KVM supports, less what WebVm cannot save and restore or that KVM
/// would not virtualize, with each vCPU's place in the topology (SDM Vol. 2A, CPUID).
/// </summary>
internal sealed unsafe class KvmCpuid
{
    /// <summary>x87, SSE and AVX: the state that fits in <see cref="State.XsaveArea"/>.</summary>
    private const uint SavedComponents = 7;

    private const uint ExtendedTopology = 0xb;
    private const uint ExtendedStateLeaf = 0xd;
    private const uint ExtendedTopologyV2 = 0x1f;
    private const uint AmdExtendedTopology = 0x8000_0026;

    private readonly kvm_cpuid_entry2[] _hostExtendedState;
    private kvm_cpuid_entry2[] _leaves;
    private bool _compared;

    private KvmCpuid(kvm_cpuid_entry2[] leaves, kvm_cpuid_entry2[] hostExtendedState, ulong components, CpuProfile profile)
    {
        Profile = profile;
        _leaves = leaves;
        _hostExtendedState = hostExtendedState;
        Components = components;
    }

    /// <summary>The bits that guests may set in XCR0. Final once the first vCPU has its CPUID.</summary>
    public ulong Components { get; private set; }

    /// <summary>This host's components beyond x87 and SSE, by number (leaf 0xd): where XSAVE stores each, and how large it is.</summary>
    public IEnumerable<(int Component, uint Offset, uint Size, bool Aligned)> ExtendedState =>
        _hostExtendedState
            .Where(leaf => (Components >> (int)leaf.index & 1) != 0)
            .Select(leaf => ((int)leaf.index, leaf.ebx, leaf.eax, (leaf.ecx & 2) != 0));

    /// <summary>Guests may use components that <see cref="State.XsaveArea"/> has no room for.</summary>
    public bool HasForeignComponents => (Components & ~(ulong)SavedComponents) != 0;

    public IReadOnlyList<kvm_cpuid_entry2> Leaves => _leaves;

    /// <param name="profile">The processor that guests meet, of <see cref="OfferOf"/>; null for what guests get that ask for
    /// nothing.</param>
    public static KvmCpuid ForHost(KvmDevice device, CpuProfile? profile = null)
    {
        var supported = device.SupportedCpuid();
        var filtered = Filtered(device, supported);
        profile ??= new CpuProfile(CpuModel.Host, CpuVendors.Host, Offer(Words(filtered)).Default(Words(filtered)));
        uint components = (uint)profile.Xcr0 & ComponentsOf(supported);
        return new KvmCpuid(
            [.. filtered.Select(leaf => Shown(leaf, profile, components | 1))],
            [.. supported.Where(leaf => leaf is { function: ExtendedStateLeaf, index: >= 2 })],
            components | 1,
            profile);
    }

    /// <summary>What this host's KVM can show guests.</summary>
    /// <param name="showsModels">See <see cref="CpuOffer.ShowsModels"/>.</param>
    public static CpuOffer OfferOf(KvmDevice device, bool showsModels = true)
    {
        var words = Words(Filtered(device, device.SupportedCpuid()));
        return Offer(showsModels ? words : ShownAnyway(words)) with { ShowsModels = showsModels };
    }

    private static CpuOffer Offer(CpuFeatureSet words) => new("this host's KVM", vendor => vendor == CpuVendors.Host ? words : null);

    /// <summary>
    /// Where guests see the host's CPUID, all of that is there, but what a kernel allows by CR4 to itself: of that KVM has the say.
    /// </summary>
    private static CpuFeatureSet ShownAnyway(CpuFeatureSet supported)
    {
        var host = CpuFeatureSet.OfHost();
        foreach (var feature in CpuFeature.All)
        {
            bool shown = (feature.Cr4 & ~Cr4.Osxsave) != 0 ? supported.Has(feature) : supported.Has(feature) || host.Has(feature);
            supported = shown ? supported.With(feature) : supported.Without(feature);
        }

        return supported;
    }

    private static kvm_cpuid_entry2[] Filtered(KvmDevice device, kvm_cpuid_entry2[] supported)
    {
        uint components = ComponentsOf(supported);
        bool deadline = device.Capability(KvmCapabilities.KVM_CAP_TSC_DEADLINE_TIMER) != 0;
        return [.. supported.Where(Keep).Select(leaf => Filter(leaf, components | 1, deadline))];
    }

    private static uint ComponentsOf(kvm_cpuid_entry2[] supported) =>
        supported.Where(leaf => leaf is { function: ExtendedStateLeaf, index: 0 }).Select(leaf => leaf.eax & SavedComponents)
            .FirstOrDefault(1u);

    private static CpuFeatureSet Words(kvm_cpuid_entry2[] leaves)
    {
        var words = default(CpuFeatureSet);
        foreach (var leaf in leaves)
        {
            for (int register = 0; register < 4; register++)
            {
                if (CpuidWords.At(leaf.function, leaf.index, register) is { } word)
                {
                    words[word] = register switch { 0 => leaf.eax, 1 => leaf.ebx, 2 => leaf.ecx, _ => leaf.edx };
                }
            }
        }

        return words;
    }

    /// <summary>
    /// A leaf as the profile has it: of the host's processor what the profile takes away is left out; of a model nothing else is there, and
    /// nothing in it tells of the host.
    /// </summary>
    private static kvm_cpuid_entry2 Shown(kvm_cpuid_entry2 leaf, CpuProfile profile, uint components)
    {
        leaf.eax = Register(0, leaf.eax);
        leaf.ebx = Register(1, leaf.ebx);
        leaf.ecx = Register(2, leaf.ecx);
        leaf.edx = Register(3, leaf.edx);
        bool model = profile.Model != CpuModel.Host;
        switch (leaf.function, leaf.index)
        {
            case (1, _) when model:
                leaf.eax = CpuidIdentity.Signature(profile.Vendor);
                break;
            case (ExtendedStateLeaf, 0):
                leaf.eax = profile.Has("xsave") ? components : 0;
                leaf.ebx = leaf.ecx = profile.Has("xsave") ? ExtendedStateSize(components) : 0;
                break;
            case (ExtendedStateLeaf, 1):
                leaf.ebx = profile.Has("xsave") ? ExtendedStateSize(components) : 0;
                break;
            case (ExtendedStateLeaf, 2) when (components & 4) == 0:
                leaf = new kvm_cpuid_entry2 { function = leaf.function, index = leaf.index, flags = leaf.flags };
                break;
            case (0x80000001, _) when model && profile.Vendor == CpuVendor.Amd:
                leaf.eax = CpuidIdentity.Signature(profile.Vendor);
                leaf.edx |= profile.Features[CpuidWord.Leaf1Edx] & CpuidIdentity.RepeatedByAmd;
                break;
            case ( >= 0x80000002 and <= 0x80000004, _) when model:
                (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = CpuidIdentity.BrandOf($"{profile.Model.Name()} of WebVm", leaf.function);
                break;
            case (0x80000008, _):
                leaf.eax = (leaf.eax & ~0xff00u) | (Math.Min(leaf.eax >> 8 & 0xff, profile.HasLa57 ? 57u : 48u) << 8);
                break;
            default:
                break;
        }

        return leaf;

        uint Register(int register, uint value)
        {
            if (CpuidWords.At(leaf.function, leaf.index, register) is not { } word)
            {
                return value;
            }

            uint shown = profile.Features[word];
            return profile.Model == CpuModel.Host ? value & (shown | ~s_named[word]) : shown;
        }
    }

    private static readonly CpuFeatureSet s_named = CpuFeatureSet.Of(CpuFeature.All);

    private static uint ExtendedStateSize(uint components) => (components & 4) != 0 ? 832u : 576u;

    /// <summary>The processor that guests meet.</summary>
    public CpuProfile Profile { get; }

    /// <summary>Gives a vCPU its CPUID. Before its first run.</summary>
    public void Apply(FileDescriptor vcpu, CpuPlace place)
    {
        Set(vcpu, For(place));
        if (!_compared)
        {
            _compared = true;
            AdoptHostExtendedState(vcpu, () => Set(vcpu, For(place)));
        }
    }

    /// <summary>
    /// A KVM that cannot intercept CPUID shows its guests the host's leaf 0xd whatever was set. Then the guest will use all of the
    /// host's components, and has to find each described.
    /// </summary>
    private void AdoptHostExtendedState(FileDescriptor vcpu, Action setAgain)
    {
        var shown = ShownBy(vcpu).FirstOrDefault(leaf => leaf is { function: ExtendedStateLeaf, index: 0 });
        if ((shown.eax & ~Components) != 0)
        {
            Components = shown.eax;
            _leaves = [.. _leaves.Where(leaf => leaf is not { function: ExtendedStateLeaf, index: >= 2 }), .. _hostExtendedState];
            setAgain();
        }
    }

    /// <summary>The CPUID that a vCPU really has: some KVMs add what they cannot hide.</summary>
    public static kvm_cpuid_entry2[] ShownBy(FileDescriptor vcpu)
    {
        const int maxEntries = 256;
        byte[] buffer = new byte[sizeof(kvm_cpuid2) + (maxEntries * sizeof(kvm_cpuid_entry2))];
        fixed (byte* start = buffer)
        {
            var list = (kvm_cpuid2*)start;
            list->nent = maxEntries;
            KvmCalls.Require(vcpu.Number, KvmRequests.KVM_GET_CPUID2, list, nameof(KvmRequests.KVM_GET_CPUID2));
            return new ReadOnlySpan<kvm_cpuid_entry2>(list + 1, (int)list->nent).ToArray();
        }
    }

    private static void Set(FileDescriptor vcpu, kvm_cpuid_entry2[] leaves)
    {
        byte[] buffer = new byte[sizeof(kvm_cpuid2) + (leaves.Length * sizeof(kvm_cpuid_entry2))];
        fixed (byte* start = buffer)
        {
            var list = (kvm_cpuid2*)start;
            list->nent = (uint)leaves.Length;
            leaves.CopyTo(new Span<kvm_cpuid_entry2>(list + 1, leaves.Length));
            KvmCalls.Require(vcpu.Number, KvmRequests.KVM_SET_CPUID2, list, nameof(KvmRequests.KVM_SET_CPUID2));
        }
    }

    /// <summary>The leaves of one vCPU: a core of one thread at its place.</summary>
    internal kvm_cpuid_entry2[] For(CpuPlace place)
    {
        uint apicId = place.ApicId;
        uint idsPerPackage = place.CoresPerPackage;
        List<kvm_cpuid_entry2> leaves = [];
        foreach (var leaf in _leaves)
        {
            var own = leaf;
            switch (leaf.function)
            {
                case 1:
                    own.ebx = (own.ebx & 0x0000ffff) | (Math.Min(idsPerPackage, 255) << 16) | (apicId << 24);
                    own.edx = idsPerPackage > 1 ? own.edx | (1u << 28) : own.edx & ~(1u << 28);
                    break;
                case 4 when (own.eax & 0x1f) != 0:
                    // Every cache is a core's own, but the third level, which the package shares.
                    uint sharing = ((own.eax >> 5) & 7) >= 3 ? idsPerPackage : 1;
                    own.eax = (own.eax & 0x3fff) | ((sharing - 1) << 14) | ((idsPerPackage - 1) << 26);
                    break;
                case 0x8000001d when (own.eax & 0x1f) != 0:
                    own.eax = (own.eax & 0x3fff) | (((((own.eax >> 5) & 7) >= 3 ? idsPerPackage : 1) - 1) << 14);
                    break;
                case 0x80000008:
                    own.ecx = (own.ecx & ~0xf0ffu) | ((uint)place.CoreBits << 12) | (uint)(place.Cores - 1);
                    break;
                case 0x8000001e:
                    own.eax = apicId;
                    // A node of AMD's is a die; each package has one.
                    own.ebx = place.Core;
                    own.ecx = place.Package;
                    break;
                default:
                    break;
            }

            leaves.Add(own);
        }

        leaves.AddRange(Topology(ExtendedTopology, place));
        if (_leaves.FirstOrDefault(leaf => leaf.function == 0).eax >= ExtendedTopologyV2)
        {
            leaves.AddRange(Topology(ExtendedTopologyV2, place));
        }

        return [.. leaves];
    }

    private static IEnumerable<kvm_cpuid_entry2> Topology(uint function, CpuPlace place)
    {
        const uint threadLevel = 1 << 8;
        const uint coreLevel = 2 << 8;
        yield return Level(0, 0, 1, threadLevel);
        yield return Level(1, (uint)place.CoreBits, (uint)place.Cores, coreLevel);
        yield return Level(2, 0, 0, 0);

        kvm_cpuid_entry2 Level(uint index, uint shift, uint processors, uint kind) => new()
        {
            function = function,
            index = index,
            flags = KvmFlags.KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax = shift,
            ebx = processors,
            ecx = kind | index,
            edx = place.ApicId,
        };
    }

    private static bool Keep(kvm_cpuid_entry2 leaf) => leaf switch
    {
        { function: ExtendedTopology or ExtendedTopologyV2 or AmdExtendedTopology } => false,

        // Performance monitoring, SGX, processor trace, AMX.
        { function: 0xa or 0x12 or 0x14 or 0x1d or 0x1e } => false,
        { function: ExtendedStateLeaf, index: > 2 } => false,

        // Nested virtualization, encrypted guests.
        { function: 0x8000000a or 0x8000001f } => false,
        _ => true,
    };

    private static kvm_cpuid_entry2 Filter(kvm_cpuid_entry2 leaf, uint components, bool deadline)
    {
        switch (leaf.function, leaf.index)
        {
            case (1, _):
                // Not MONITOR, VMX, debug store; x2APIC and the hypervisor bit always; OSXSAVE is KVM's to set.
                leaf.ecx &= ~((1u << 3) | (1u << 5) | (1u << 6) | (1u << 2) | (1u << 15) | (1u << 24) | (1u << 27));
                leaf.ecx |= (1u << 21) | (1u << 31) | (deadline ? 1u << 24 : 0);
                leaf.ecx &= (components & 4) != 0 ? ~0u : ~((1u << 28) | (1u << 12) | (1u << 29));
                break;
            case (7, 0):
                // Not SGX, MPX, AVX-512, processor trace; not protection keys, shadow stacks, 5-level paging's friends with state of their
                // own.
                leaf.ebx &= ~((1u << 2) | (1u << 14) | Avx512Ebx | (1u << 25));
                leaf.ecx &= ~((1u << 1) | (1u << 3) | (1u << 4) | (1u << 6) | (1u << 7) | (1u << 11) | (1u << 12) | (1u << 14)
                    | (1u << 30));
                leaf.edx &= ~((1u << 2) | (1u << 3) | (1u << 8) | (1u << 20) | (1u << 22) | (1u << 23) | (1u << 24) | (1u << 25));
                leaf.ebx &= (components & 4) != 0 ? ~0u : ~(1u << 5);
                break;
            case (7, 1):
                leaf.eax &= (components & 4) != 0 ? ~(1u << 5) : 0; // AVX512_BF16
                leaf.edx &= ~((1u << 18) | (1u << 19) | (1u << 21)); // CET_SSS, AVX10, APX
                break;
            case (ExtendedStateLeaf, 0):
                leaf.eax = components;
                leaf.edx = 0;
                leaf.ebx = leaf.ecx = (components & 4) != 0 ? 832u : 576u;
                break;
            case (ExtendedStateLeaf, 1):
                // XSAVEOPT, XSAVEC, XGETBV(1); no supervisor state.
                leaf.eax &= 7;
                leaf.ebx = (components & 4) != 0 ? 832u : 576u;
                leaf.ecx = leaf.edx = 0;
                break;
            case (0x80000001, _):
                leaf.ecx &= ~((1u << 2) | (1u << 10) | (1u << 12) | (1u << 15) | (1u << 23) | (1u << 24) | (1u << 26)
                    | (1u << 28)); // SVM, IBS, SKINIT, LWP, performance counters
                break;
            case (0x80000008, _):
                leaf.eax = (leaf.eax & ~0xffu) | Math.Min(leaf.eax & 0xff, GuestMemory.AddressBits);
                break;
            case (KvmParavirtual.KVM_CPUID_FEATURES, _):
                leaf.eax &= OfferedParavirtual;
                break;
            default:
                break;
        }

        return leaf;
    }

    private const uint Avx512Ebx = (1u << 16) | (1u << 17) | (1u << 21) | (1u << 26) | (1u << 27) | (1u << 28) | (1u << 30) | (1u << 31);

    /// <summary>All but asynchronous page faults, whose state a restored guest would miss, and extended message destinations.</summary>
    private const uint OfferedParavirtual = (1u << KvmParavirtual.KVM_FEATURE_CLOCKSOURCE) | (1u << KvmParavirtual.KVM_FEATURE_NOP_IO_DELAY)
        | (1u << KvmParavirtual.KVM_FEATURE_CLOCKSOURCE2) | (1u << KvmParavirtual.KVM_FEATURE_STEAL_TIME)
            | (1u << KvmParavirtual.KVM_FEATURE_PV_EOI)
        | (1u << KvmParavirtual.KVM_FEATURE_PV_UNHALT) | (1u << KvmParavirtual.KVM_FEATURE_PV_TLB_FLUSH)
            | (1u << KvmParavirtual.KVM_FEATURE_PV_SEND_IPI)
        | (1u << KvmParavirtual.KVM_FEATURE_POLL_CONTROL) | (1u << KvmParavirtual.KVM_FEATURE_PV_SCHED_YIELD)
        | (1u << KvmParavirtual.KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
}
