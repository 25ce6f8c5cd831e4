using System.Text;
using WebVm.Vmm.Cpu.Soft.Interpretation.Vector;
using WebVm.Vmm.Cpu.Soft.Paravirtualization;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft;

/// <summary>What CPUID tells the guest: what this processor implements, and no more (SDM Vol. 2A, CPUID).</summary>
internal static unsafe class CpuidPolicy
{
    /// <summary>Family 6, a model that no table of quirks knows, stepping 1 (leaf 1 EAX; also EDX after reset).</summary>
    public const uint Signature = 0x000e_06f1;

    /// <summary>
    /// IA32_ARCH_CAPABILITIES: an interpreter has no speculation to leak from, so guests need no mitigations. RDCL_NO, IBRS_ALL,
    /// SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
    /// </summary>
    public const ulong ArchCapabilities = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8)
        | (1 << 13) | (1 << 14) | (1 << 15) | (1 << 20) | (1 << 24) | (1 << 26) | (1 << 27) | (1UL << 62);

    private const uint La57Bit = 1 << 16;

    private const uint Leaf1Edx = (1u << 0) | (1u << 1) | (1u << 2) | (1u << 3) | (1u << 4) | (1u << 5) | (1u << 6) | (1u << 7) | (1u << 8) | (1u << 9)
        | (1u << 11) | (1u << 12) | (1u << 13) | (1u << 14) | (1u << 15) | (1u << 16) | (1u << 17) | (1u << 19);

    /// <summary>Not offered where the host's KVM lacks them: a guest that uses them could not go on there.</summary>
    private const uint PcidBit = 1 << 17;
    private const uint InvpcidBit = 1 << 10;

    // CMPXCHG16B, PCID, x2APIC, MOVBE, POPCNT, TSC deadline, RDRAND, hypervisor.
    private const uint Leaf1Ecx = (1u << 13) | (1u << 17) | (1u << 21) | (1u << 22) | (1u << 23) | (1u << 24) | (1u << 30) | (1u << 31);

    // FSGSBASE, TSC_ADJUST, BMI1, SMEP, BMI2, ERMS, INVPCID, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB.
    private const uint Leaf7Ebx = (1u << 0) | (1u << 1) | (1u << 3) | (1u << 7) | (1u << 8) | (1u << 9) | (1u << 10) | (1u << 18) | (1u << 19) | (1u << 20)
        | (1u << 23) | (1u << 24);

    // UMIP, RDPID.
    private const uint Leaf7Ecx = (1u << 2) | (1u << 22);

    // FSRM, MD_CLEAR, IBRS and IBPB, STIBP, ARCH_CAPABILITIES, SSBD.
    private const uint Leaf7Edx = (1u << 4) | (1u << 10) | (1u << 26) | (1u << 27) | (1u << 29) | (1u << 31);

    private const uint LongModeEdx = (1u << 11) | (1u << 20) | (1u << 26) | (1u << 27) | (1u << 29);

    // LAHF, LZCNT, PREFETCHW.
    private const uint LongModeEcx = (1u << 0) | (1u << 5) | (1u << 8);

    private static readonly uint[] Brand = Words("WebVm soft processor", 48);
    private static readonly uint[] Vendor = Words("GenuineIntel", 12);

    /// <summary>XCR0 bits that may be set.</summary>
    public static ulong Xcr0Supported => VectorFeatures.Xcr0Supported;

    /// <summary>CR4 bits that may be set.</summary>
    public static ulong Cr4Supported(CpuContext* cpu) => OffersLa57(cpu) ? Cr4.Supported : Cr4.Supported & ~Cr4.La57;

    /// <summary>Gives EAX, EBX, ECX, EDX of a leaf.</summary>
    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) Read(CpuContext* cpu, uint leaf, uint subleaf)
    {
        const uint BasicMaximum = 0x16;
        const uint ExtendedMaximum = 0x8000_0008;

        // Beyond the maximum: the highest basic leaf, as Intel's processors do.
        if (leaf is > BasicMaximum and < KvmLeaves.First or > KvmLeaves.First + 0xff and < 0x8000_0000 or > ExtendedMaximum)
        {
            leaf = BasicMaximum;
        }

        var place = SoftVcpu.Of(cpu).Place;
        switch (leaf)
        {
            case 0: return (BasicMaximum, Vendor[0], Vendor[2], Vendor[1]);
            case 1:
                uint osxsave = (cpu->State.Cr4 & Cr4.Osxsave) != 0 ? 1u << 27 : 0;
                uint multiple = place.CoreBits > 0 ? 1u << 28 : 0;
                return (Signature, (place.ApicId << 24) | (Math.Min(place.CoresPerPackage, 255) << 16) | (8 << 8),
                    (HostKvm.HasPcid ? Leaf1Ecx : Leaf1Ecx & ~PcidBit) | VectorFeatures.Leaf1Ecx | osxsave, Leaf1Edx | VectorFeatures.Leaf1Edx | multiple);
            case 2: return (0x00fe_ff01, 0, 0, 0);
            case 4: return Cache(subleaf, place);

            // The APIC timer runs in every power state.
            case 6: return (1 << 2, 0, 0, 0);
            case 7: return subleaf switch
            {
                0 => (2, (HostKvm.HasInvpcid ? Leaf7Ebx : Leaf7Ebx & ~InvpcidBit) | VectorFeatures.Leaf7Ebx, Leaf7Ecx | VectorFeatures.Leaf7Ecx | (OffersLa57(cpu) ? La57Bit : 0), Leaf7Edx),
                1 => (VectorFeatures.Leaf7Subleaf1Eax, 0, 0, 0),

                // BHI_CTRL: Linux clears branch history in software on every system call unless a control bit can do it.
                2 => (0, 0, 0, 1 << 4),
                _ => default,
            };
            case 0xb: return Topology(subleaf, place);
            case 0xd: return VectorFeatures.ExtendedStateLeaf(subleaf, cpu->State.Xcr0);
            case 0x15:
                // Linux takes the crystal's frequency for the local APIC's too.
                var (ticks, crystal) = TimeStampCounter.CrystalRatio(cpu);
                return (crystal, ticks, TimeStampCounter.CrystalHertz, 0);
            case 0x16:
                uint megahertz = (uint)(cpu->State.Msr.TscKilohertz / 1000);
                return (megahertz, megahertz, 100, 0);
            case >= KvmLeaves.First and <= KvmLeaves.Last: return KvmLeaves.Read(leaf);
            case 0x8000_0000: return (ExtendedMaximum, 0, 0, 0);
            case 0x8000_0001: return (0, 0, LongModeEcx, LongModeEdx);
            case >= 0x8000_0002 and <= 0x8000_0004:
                uint word = (leaf - 0x8000_0002) * 4;
                return (Brand[word], Brand[word + 1], Brand[word + 2], Brand[word + 3]);
            case 0x8000_0006: return (0, 0, (1024 << 16) | (6 << 12) | 64, 0);

            // Invariant TSC.
            case 0x8000_0007: return (0, 0, 0, 1 << 8);
            case 0x8000_0008: return (GuestMemory.AddressBits | ((OffersLa57(cpu) ? 57u : 48u) << 8), 0, 0, 0);
            default: return default;
        }
    }

    private static bool OffersLa57(CpuContext* cpu) => (SoftVcpu.Of(cpu).Features & CpuFeatures.La57) != 0;

    /// <summary>Deterministic cache parameters: 32 KiB L1 data and code, 1 MiB L2, 16 MiB L3 shared by the package.</summary>
    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Cache(uint index, CpuPlace place)
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
            : (type | (level << 5) | (1u << 8) | (sharing << 14) | (others << 26), 63 | ((Ways - 1) << 22), sets - 1, 0u);
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Topology(uint level, CpuPlace place) => level switch
    {
        // One thread a core.
        0 => (0u, 1u, 1u << 8, place.ApicId),
        1 => ((uint)place.CoreBits, (uint)place.Cores, (2u << 8) | 1, place.ApicId),
        _ => (0u, 0u, level & 0xff, place.ApicId),
    };

    private static uint[] Words(string text, int length)
    {
        byte[] bytes = new byte[length];
        Encoding.ASCII.GetBytes(text, bytes);
        uint[] words = new uint[length / 4];
        Buffer.BlockCopy(bytes, 0, words, 0, length);
        return words;
    }
}
