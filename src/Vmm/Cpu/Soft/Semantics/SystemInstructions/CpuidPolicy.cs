using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>
/// What CPUID tells the guest: the features of its <see cref="CpuProfile"/>, in the leaves of its vendor (SDM Vol. 2A, CPUID; APM Vol. 3
/// appendix E).
/// </summary>
internal static unsafe class CpuidPolicy
{
    private const uint FirstExtended = 0x8000_0000;
    private const uint ApicBit = 1 << 9;
    private const uint OspkeBit = 1 << 4;
    private const uint SystemCallBit = 1 << 11;

    /// <summary>
    /// IA32_ARCH_CAPABILITIES: an interpreter has no speculation to leak from, so guests need no mitigations. RDCL_NO, IBRS_ALL,
    /// SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO,
    /// ITS_NO.
    /// </summary>
    public const ulong ArchCapabilities = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8)
        | (1 << 13) | (1 << 14) | (1 << 15) | (1 << 20) | (1 << 24) | (1 << 26) | (1 << 27) | (1UL << 62);

    /// <summary>Gives EAX, EBX, ECX, EDX of a leaf.</summary>
    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) Read(CpuContext* cpu, uint leaf, uint subleaf)
    {
        var environment = CpuEnvironment.Of(cpu);
        var profile = environment.Profile;
        bool amd = profile.Vendor == CpuVendor.Amd;
        uint basicMaximum = amd ? 0xdu : 0x16u;
        uint extendedMaximum = amd ? 0x8000_0021 : 0x8000_0008;
        bool beyond = leaf > basicMaximum && leaf is < KvmLeaves.First or > KvmLeaves.First + 0xff and < FirstExtended
            || leaf > extendedMaximum;
        if (beyond)
        {
            // The highest basic leaf, as Intel's processors answer; AMD's answer nothing.
            if (amd)
            {
                return default;
            }

            leaf = basicMaximum;
        }

        var place = environment.Place;
        switch (leaf)
        {
            case 0: return Identification(profile.Vendor, basicMaximum);
            case 1: return Features(cpu, environment);
            case 2: return amd ? default : (0x00fe_ff01u, 0u, 0u, 0u);
            case 4: return amd ? default : Cache(subleaf, place, (place.CoresPerPackage - 1) << 26);

            // The APIC timer runs in every power state.
            case 6: return (1 << 2, 0, 0, 0);
            case 7: return StructuredFeatures(cpu, profile, subleaf);
            case 0xb: return Topology(subleaf, place);
            case 0xd: return profile.Has("xsave")
                ? VectorFeatures.ExtendedStateLeaf(subleaf, cpu->State.Xcr0, profile.Xcr0, profile.Features[CpuidWord.LeafDSubleaf1Eax])
                : default;
            case 0x15:
                // Linux takes the crystal's frequency for the local APIC's too.
                var (ticks, crystal) = TimeStampCounter.CrystalRatio(cpu);
                return (crystal, ticks, TimeStampCounter.CrystalHertz, 0);
            case 0x16:
                uint megahertz = (uint)(cpu->State.Msr.TscKilohertz / 1000);
                return (megahertz, megahertz, 100, 0);
            case >= KvmLeaves.First and <= KvmLeaves.Last: return KvmLeaves.Read(leaf);
            case FirstExtended:
                return Identification(profile.Vendor, extendedMaximum) is var same && amd ? same : (extendedMaximum, 0, 0, 0);
            case 0x8000_0001: return ExtendedFeatures(cpu, profile, place);
            case >= 0x8000_0002 and <= 0x8000_0004:
                return CpuidIdentity.BrandOf(
                    profile.Model == CpuModel.Host ? "WebVm soft processor" : $"{profile.Model.Name()} of WebVm", leaf);
            case 0x8000_0005: return amd ? (0u, 0u, FirstLevelCache, FirstLevelCache) : default;
            case 0x8000_0006: return (0, 0, (1024 << 16) | (6 << 12) | 64, amd ? (32u << 18) | (9 << 12) | (1 << 8) | 64 : 0);
            case 0x8000_0007: return (0, 0, 0, profile.Features[CpuidWord.Extended7Edx]);
            case 0x8000_0008:
                return (GuestMemory.AddressBits | ((profile.HasLa57 ? 57u : 48u) << 8), profile.Features[CpuidWord.Extended8Ebx],
                    amd ? ((uint)place.CoreBits << 12) | (uint)(place.Cores - 1) : 0, 0);
            case 0x8000_001d: return profile.Has("topoext") ? Cache(subleaf, place, 0) : default;

            // A node of AMD's is a die; each package has one.
            case 0x8000_001e: return profile.Has("topoext") ? (place.ApicId, place.Core, place.Package, 0u) : default;
            case 0x8000_0021: return (profile.Features[CpuidWord.Extended21Eax], 0, profile.Features[CpuidWord.Extended21Ecx], 0);
            default: return default;
        }
    }

    /// <summary>AMD's leaf 0x80000005: 32 KiB, eight ways, lines of 64 bytes.</summary>
    private const uint FirstLevelCache = (32u << 24) | (8 << 16) | (1 << 8) | 64;

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Identification(CpuVendor vendor, uint maximum)
    {
        uint[] words = CpuidIdentity.Words(vendor.Identification(), 12);
        return (maximum, words[0], words[2], words[1]);
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Features(CpuContext* cpu, CpuEnvironment environment)
    {
        var profile = environment.Profile;
        var place = environment.Place;
        uint osxsave = (cpu->State.Cr4 & Cr4.Osxsave) != 0 ? 1u << 27 : 0;
        uint multiple = place.CoreBits > 0 ? 1u << 28 : 0;
        uint edx = profile.Features[CpuidWord.Leaf1Edx];
        if (((environment.Apic?.Base ?? cpu->State.Msr.ApicBase) & LocalApic.BaseEnable) == 0)
        {
            // The local APIC is switched off (SDM Vol. 3A §10.4.3).
            edx &= ~ApicBit;
        }

        return (CpuidIdentity.Signature(profile.Vendor), (place.ApicId << 24) | (Math.Min(place.CoresPerPackage, 255) << 16) | (8 << 8),
            profile.Features[CpuidWord.Leaf1Ecx] | osxsave, edx | multiple);
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) StructuredFeatures(CpuContext* cpu, CpuProfile profile, uint subleaf) =>
        subleaf switch
    {
        0 => (profile.Vendor == CpuVendor.Amd ? 1u : 2u, profile.Features[CpuidWord.Leaf7Ebx],
            profile.Features[CpuidWord.Leaf7Ecx] | ((cpu->State.Cr4 & Cr4.Pke) != 0 ? OspkeBit : 0), profile.Features[CpuidWord.Leaf7Edx]),
        1 => (profile.Features[CpuidWord.Leaf7Subleaf1Eax], 0, 0, 0),

        // BHI_CTRL: Linux clears branch history in software on every system call unless a control bit can do it.
        2 => (0, 0, 0, profile.Features[CpuidWord.Leaf7Subleaf2Edx]),
        _ => default,
    };

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) ExtendedFeatures(CpuContext* cpu, CpuProfile profile, CpuPlace place)
    {
        uint ecx = profile.Features[CpuidWord.Extended1Ecx];
        uint edx = profile.Features[CpuidWord.Extended1Edx];
        if (profile.Vendor == CpuVendor.Amd)
        {
            return (CpuidIdentity.Signature(profile.Vendor), 0, ecx
                | (place.Cores > 1 ? 2u : 0), edx | (profile.Features[CpuidWord.Leaf1Edx] & CpuidIdentity.RepeatedByAmd));
        }

        // SYSCALL is told of in 64-bit mode, where alone it exists (SDM Vol. 2A, CPUID, note 1 of leaf 0x80000001).
        return (0, 0, ecx, cpu->IsCode64 ? edx : edx & ~SystemCallBit);
    }

    /// <summary>
    /// Deterministic cache parameters, of the form that both vendors have: 32 KiB L1 data and code, 1 MiB L2, 16 MiB L3 shared by the
    /// package.
    /// </summary>
    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Cache(uint index, CpuPlace place, uint cores)
    {
        const uint Ways = 8;
        uint others = place.CoresPerPackage - 1;
        (uint type, uint level, uint sets, uint sharing) = index switch
        {
            0 => (1u, 1u, 64u, 0u),
            1 => (2u, 1u, 64u, 0u),
            2 => (3u, 2u, 2048u, 0u),
            3 => (3u, 3u, 32768u, others),
            _ => (0u, 0u, 0u, 0u),
        };
        return type == 0
            ? default
            : (type | (level << 5) | (1u << 8) | (sharing << 14) | cores, 63 | ((Ways - 1) << 22), sets - 1, 0u);
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Topology(uint level, CpuPlace place) => level switch
    {
        // One thread a core.
        0 => (0u, 1u, 1u << 8, place.ApicId),
        1 => ((uint)place.CoreBits, (uint)place.Cores, (2u << 8) | 1, place.ApicId),
        _ => (0u, 0u, level & 0xff, place.ApicId),
    };
}
