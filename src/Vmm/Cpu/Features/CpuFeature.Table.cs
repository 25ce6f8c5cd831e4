using Iced.Intel;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using static WebVm.Vmm.Cpu.Features.CpuidWord;

namespace WebVm.Vmm.Cpu.Features;

/// <content>
/// The one place that says what comes with a feature: what CPUID does not show does not work either (SDM Vol. 1 chapter 5, Vol. 3A §2.5,
/// Vol. 4; APM Vol. 2 §3.2). What has no row here is part of every x86-64 processor.
/// </content>
internal sealed partial record CpuFeature
{
    private const CpuVendor Intel = CpuVendor.Intel;
    private const CpuVendor Amd = CpuVendor.Amd;

    public static IReadOnlyList<CpuFeature> All { get; } =
    [
        new("fpu", Leaf1Edx, 0) { Fixed = true },
        new("vme", Leaf1Edx, 1) { Cr4 = State.Cr4.Vme | State.Cr4.Pvi },
        new("de", Leaf1Edx, 2) { Cr4 = State.Cr4.De },
        new("pse", Leaf1Edx, 3) { Cr4 = State.Cr4.Pse },
        new("tsc", Leaf1Edx, 4) { Fixed = true, Cr4 = State.Cr4.Tsd, Msrs = [Msr.TimeStampCounter], Instructions = [CpuidFeature.TSC] },
        new("msr", Leaf1Edx, 5) { Fixed = true },
        new("pae", Leaf1Edx, 6) { Fixed = true, Cr4 = State.Cr4.Pae },
        new("mce", Leaf1Edx, 7) { Cr4 = State.Cr4.Mce },
        new("cx8", Leaf1Edx, 8) { Instructions = [CpuidFeature.CX8] },
        new("apic", Leaf1Edx, 9) { Fixed = true },
        new("sep", Leaf1Edx, 11) { Msrs = [Msr.SysenterCs, Msr.SysenterEsp, Msr.SysenterEip], Instructions = [CpuidFeature.SEP] },
        new("mtrr", Leaf1Edx, 12)
        {
            Msrs =
            [
                Msr.MtrrCap, Msr.MtrrDefaultType, Msr.MtrrFixed64K, .. Range(Msr.MtrrFixed16KFirst, Msr.MtrrFixed16KLast),
                .. Range(Msr.MtrrFixed4KFirst, Msr.MtrrFixed4KLast), .. Range(Msr.MtrrVariableFirst, Msr.MtrrVariableLast),
            ],
        },
        new("pge", Leaf1Edx, 13) { Cr4 = State.Cr4.Pge },
        new("mca", Leaf1Edx, 14) { Msrs = [Msr.MachineCheckCapabilities, Msr.MachineCheckStatus] },
        new("cmov", Leaf1Edx, 15) { Instructions = [CpuidFeature.CMOV] },
        new("pat", Leaf1Edx, 16) { Msrs = [Msr.Pat] },
        new("pse36", Leaf1Edx, 17) { Needs = "pse" },
        new("clflush", Leaf1Edx, 19) { Instructions = [CpuidFeature.CLFSH] },
        new("mmx", Leaf1Edx, 23) { Instructions = [CpuidFeature.MMX] },
        new("fxsr", Leaf1Edx, 24) { Cr4 = State.Cr4.Osfxsr, Instructions = [CpuidFeature.FXSR] },
        new("sse", Leaf1Edx, 25) { Needs = "fxsr", Cr4 = State.Cr4.Osxmmexcpt, Xcr0 = 1 << 1, Instructions = [CpuidFeature.SSE] },
        new("sse2", Leaf1Edx, 26) { Needs = "sse", Instructions = [CpuidFeature.SSE2] },
        new("sse3", Leaf1Ecx, 0) { Needs = "sse2", Instructions = [CpuidFeature.SSE3] },
        new("pclmulqdq", Leaf1Ecx, 1) { Needs = "sse2", Instructions = [CpuidFeature.PCLMULQDQ] },
        new("ssse3", Leaf1Ecx, 9) { Needs = "sse3", Instructions = [CpuidFeature.SSSE3] },
        new("fma", Leaf1Ecx, 12) { Needs = "avx", Instructions = [CpuidFeature.FMA] },
        new("cx16", Leaf1Ecx, 13) { Instructions = [CpuidFeature.CMPXCHG16B] },
        new("pcid", Leaf1Ecx, 17) { Cr4 = State.Cr4.Pcide },
        new("sse4_1", Leaf1Ecx, 19) { Needs = "ssse3", Instructions = [CpuidFeature.SSE4_1] },
        new("sse4_2", Leaf1Ecx, 20) { Needs = "sse4_1", Instructions = [CpuidFeature.SSE4_2] },
        new("x2apic", Leaf1Ecx, 21) { Msrs = [.. Range(LocalApic.MsrX2Apic, LocalApic.MsrX2ApicLast)] },
        new("movbe", Leaf1Ecx, 22) { Instructions = [CpuidFeature.MOVBE] },
        new("popcnt", Leaf1Ecx, 23) { Instructions = [CpuidFeature.POPCNT] },
        new("tsc_deadline_timer", Leaf1Ecx, 24) { Msrs = [LocalApic.MsrTscDeadline] },
        new("aes", Leaf1Ecx, 25) { Needs = "sse2", Instructions = [CpuidFeature.AES] },
        new("xsave", Leaf1Ecx, 26) { Needs = "sse", Cr4 = State.Cr4.Osxsave, Instructions = [CpuidFeature.XSAVE] },
        new("avx", Leaf1Ecx, 28) { Needs = "xsave", Xcr0 = 1 << 2, Instructions = [CpuidFeature.AVX] },
        new("f16c", Leaf1Ecx, 29) { Needs = "avx", Instructions = [CpuidFeature.F16C] },
        new("rdrand", Leaf1Ecx, 30) { Instructions = [CpuidFeature.RDRAND] },
        new("hypervisor", Leaf1Ecx, 31) { Fixed = true },
        new("fsgsbase", Leaf7Ebx, 0) { Cr4 = State.Cr4.Fsgsbase, Instructions = [CpuidFeature.FSGSBASE] },
        new("tsc_adjust", Leaf7Ebx, 1) { Msrs = [Msr.TscAdjust] },
        new("bmi1", Leaf7Ebx, 3) { Instructions = [CpuidFeature.BMI1] },
        new("avx2", Leaf7Ebx, 5) { Needs = "avx", Instructions = [CpuidFeature.AVX2] },
        new("smep", Leaf7Ebx, 7) { Cr4 = State.Cr4.Smep },
        new("bmi2", Leaf7Ebx, 8) { Instructions = [CpuidFeature.BMI2] },
        new("erms", Leaf7Ebx, 9) { Advisory = true },
        new("invpcid", Leaf7Ebx, 10) { Instructions = [CpuidFeature.INVPCID] },
        new("zero_fcs_fds", Leaf7Ebx, 13) { Advisory = true },
        new("avx512f", Leaf7Ebx, 16) { Needs = "avx2", Instructions = [CpuidFeature.AVX512F] },
        new("avx512dq", Leaf7Ebx, 17) { Needs = "avx512f", Instructions = [CpuidFeature.AVX512DQ] },
        new("rdseed", Leaf7Ebx, 18) { Instructions = [CpuidFeature.RDSEED] },
        new("adx", Leaf7Ebx, 19) { Instructions = [CpuidFeature.ADX] },
        new("smap", Leaf7Ebx, 20) { Cr4 = State.Cr4.Smap, Instructions = [CpuidFeature.SMAP] },
        new("clflushopt", Leaf7Ebx, 23) { Instructions = [CpuidFeature.CLFLUSHOPT] },
        new("clwb", Leaf7Ebx, 24) { Instructions = [CpuidFeature.CLWB] },
        new("avx512cd", Leaf7Ebx, 28) { Needs = "avx512f", Instructions = [CpuidFeature.AVX512CD] },
        new("sha_ni", Leaf7Ebx, 29) { Needs = "sse2", Instructions = [CpuidFeature.SHA] },
        new("avx512bw", Leaf7Ebx, 30) { Needs = "avx512f", Instructions = [CpuidFeature.AVX512BW] },
        new("avx512vl", Leaf7Ebx, 31) { Needs = "avx512f", Instructions = [CpuidFeature.AVX512VL] },
        new("umip", Leaf7Ecx, 2) { Cr4 = State.Cr4.Umip },
        new("pku", Leaf7Ecx, 3) { OnRequest = true, Needs = "xsave", Cr4 = State.Cr4.Pke, Xcr0 = 1 << 9,
            Instructions = [CpuidFeature.PKU] },
        new("gfni", Leaf7Ecx, 8) { Needs = "sse2", Instructions = [CpuidFeature.GFNI] },
        new("vaes", Leaf7Ecx, 9) { Needs = "avx", Instructions = [CpuidFeature.VAES] },
        new("vpclmulqdq", Leaf7Ecx, 10) { Needs = "avx", Instructions = [CpuidFeature.VPCLMULQDQ] },
        new("la57", Leaf7Ecx, 16) { OnRequest = true, Cr4 = State.Cr4.La57 },
        new("rdpid", Leaf7Ecx, 22) { Msrs = [Msr.TscAux], Instructions = [CpuidFeature.RDPID] },
        new("pks", Leaf7Ecx, 31) { OnRequest = true, Cr4 = State.Cr4.Pks, Msrs = [Msr.Pkrs] },
        new("fsrm", Leaf7Edx, 4) { Advisory = true },
        new("md_clear", Leaf7Edx, 10) { Vendor = Intel, Advisory = true },
        new("spec_ctrl", Leaf7Edx, 26) { Vendor = Intel, Advisory = true, Msrs = [Msr.SpecCtrl, Msr.PredictionCommand] },
        new("stibp", Leaf7Edx, 27) { Vendor = Intel, Advisory = true, Msrs = [Msr.SpecCtrl] },
        new("flush_l1d", Leaf7Edx, 28) { Vendor = Intel, OnRequest = true, Msrs = [Msr.FlushCommand] },
        new("arch_capabilities", Leaf7Edx, 29) { Vendor = Intel, Advisory = true, Msrs = [Msr.ArchCapabilities] },
        new("ssbd", Leaf7Edx, 31) { Vendor = Intel, Advisory = true, Msrs = [Msr.SpecCtrl] },
        new("avx_vnni", Leaf7Subleaf1Eax, 4) { Needs = "avx2", Instructions = [CpuidFeature.AVX_VNNI] },
        new("bhi_ctrl", Leaf7Subleaf2Edx, 4) { Vendor = Intel, Advisory = true },
        new("xsaveopt", LeafDSubleaf1Eax, 0) { Needs = "xsave", Instructions = [CpuidFeature.XSAVEOPT] },
        new("xsavec", LeafDSubleaf1Eax, 1) { Needs = "xsave", Instructions = [CpuidFeature.XSAVEC] },
        new("xgetbv1", LeafDSubleaf1Eax, 2) { Needs = "xsave" },
        new("xsaves", LeafDSubleaf1Eax, 3) { Needs = "xsavec", Msrs = [Msr.Xss], Instructions = [CpuidFeature.XSAVES] },
        new("syscall", Extended1Edx, 11) { Efer = State.Efer.Sce, Msrs = [Msr.Star, Msr.Lstar, Msr.Cstar, Msr.Sfmask],
            Instructions = [CpuidFeature.SYSCALL] },
        new("nx", Extended1Edx, 20) { Efer = State.Efer.Nxe },
        new("mmxext", Extended1Edx, 22) { Vendor = Amd, Needs = "mmx" },
        new("pdpe1gb", Extended1Edx, 26),
        new("rdtscp", Extended1Edx, 27) { Msrs = [Msr.TscAux], Instructions = [CpuidFeature.RDTSCP] },
        new("lm", Extended1Edx, 29) { Fixed = true, Efer = State.Efer.Lme | State.Efer.Lma },
        new("lahf_lm", Extended1Ecx, 0),
        new("lzcnt", Extended1Ecx, 5) { Instructions = [CpuidFeature.LZCNT] },
        new("3dnowprefetch", Extended1Ecx, 8) { Advisory = true },
        new("topoext", Extended1Ecx, 22) { Vendor = Amd, Advisory = true },
        new("constant_tsc", Extended7Edx, 8),
        new("amd_ibpb", Extended8Ebx, 12) { Vendor = Amd, Advisory = true, Msrs = [Msr.PredictionCommand] },
        new("amd_ibrs", Extended8Ebx, 14) { Vendor = Amd, Advisory = true, Msrs = [Msr.SpecCtrl] },
        new("amd_stibp", Extended8Ebx, 15) { Vendor = Amd, Advisory = true, Msrs = [Msr.SpecCtrl] },
        new("amd_ssbd", Extended8Ebx, 24) { Vendor = Amd, Advisory = true, Msrs = [Msr.SpecCtrl] },
        new("amd_ssb_no", Extended8Ebx, 26) { Vendor = Amd, Advisory = true },
        new("btc_no", Extended8Ebx, 29) { Vendor = Amd, Advisory = true },
        new("lfence_rdtsc", Extended21Eax, 2) { Vendor = Amd, Advisory = true },
        new("null_seg_clears_base", Extended21Eax, 6) { Vendor = Amd, Advisory = true },
        new("auto_ibrs", Extended21Eax, 8) { Vendor = Amd, Advisory = true, Efer = State.Efer.AutomaticIbrs },
        new("srso_no", Extended21Eax, 29) { Vendor = Amd, Advisory = true },
        new("tsa_sq_no", Extended21Ecx, 1) { Vendor = Amd, Advisory = true },
        new("tsa_l1_no", Extended21Ecx, 2) { Vendor = Amd, Advisory = true },
    ];

    /// <summary>MSRs of one vendor's processors that no feature stands for.</summary>
    public static IReadOnlyList<(CpuVendor Vendor, uint Msr)> VendorMsrs { get; } =
    [
        (Intel, Msr.PlatformId), (Intel, Msr.SmiCount), (Intel, Msr.FeatureControl), (Intel, Msr.MiscEnable),
        (Amd, Msr.SystemConfiguration), (Amd, Msr.HardwareConfiguration), (Amd, Msr.NorthbridgeConfiguration),
        (Amd, Msr.InterruptPendingMessage),
        (Amd, Msr.DecodeConfiguration),
    ];

    private static IEnumerable<uint> Range(uint first, uint last)
    {
        for (uint msr = first; msr <= last; msr++)
        {
            yield return msr;
        }
    }
}
