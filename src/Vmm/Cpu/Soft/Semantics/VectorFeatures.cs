using System.Runtime.Intrinsics.X86;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.State;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Cpu.Soft.Semantics;

/// <summary>
/// Which x87 and vector extensions the soft engine can offer: those it implements and, because it borrows the host processor's
/// arithmetic, those this host has (its own CPUID; SDM Vol. 2A CPUID). AVX-512 is not offered.
/// </summary>
internal static unsafe class VectorFeatures
{
    /// <summary>XCR0 and XSTATE_BV bits (SDM Vol. 1 §13.1).</summary>
    public const ulong StateX87 = 1;

    public const ulong StateSse = 2;
    public const ulong StateAvx = 4;

    /// <summary>The rights of protection keys, which XSAVE manages too.</summary>
    public const ulong StatePkru = 1 << 9;

    // CPUID.1:EDX: FPU, CMOV (also gates FCMOV), MMX, FXSR, SSE, SSE2.
    private const uint Leaf1EdxImplemented = (1u << 0) | (1u << 15) | (1u << 23) | (1u << 24) | (1u << 25) | (1u << 26);

    // CPUID.1:ECX without AVX: SSE3, PCLMULQDQ, SSSE3, SSE4.1, SSE4.2, AES, XSAVE.
    private const uint Leaf1EcxImplemented = (1u << 0) | (1u << 1) | (1u << 9) | (1u << 19) | (1u << 20) | (1u << 25) | (1u << 26);

    // CPUID.1:ECX: FMA, AVX, F16C.
    private const uint Leaf1EcxAvx = (1u << 12) | (1u << 28) | (1u << 29);
    private const uint Avx = 1u << 28;
    private const uint Avx2 = 1u << 5; // CPUID.7.0:EBX
    private const uint Sha = 1u << 29; // CPUID.7.0:EBX
    private const uint Gfni = 1u << 8; // CPUID.7.0:ECX
    private const uint Vaes = 1u << 9;
    private const uint Vpclmulqdq = 1u << 10;
    private const uint AvxVnni = 1u << 4; // CPUID.7.1:EAX

    private const uint OsXsave = 1u << 27; // CPUID.1:ECX

    private const int LegacyAndHeader = 576;
    private const int AvxComponentSize = 256;
    private const uint PkruSize = 8;

    static VectorFeatures()
    {
        (uint maximum, _, _, _) = Leaf(0, 0);
        (_, _, uint ecx1, uint edx1) = Leaf(1, 0);
        (_, uint ebx7, uint ecx7, _) = maximum >= 7 ? Leaf(7, 0) : default;
        (uint eax71, _, _, _) = maximum >= 7 && Leaf(7, 0).Eax >= 1 ? Leaf(7, 1) : default;

        // Not Avx.IsSupported, which a native program answers for what it was compiled for, not for where it runs. AVX can be used where
        // the operating system enabled its state too (SDM Vol. 1 §14.3).
        HasAvx = (ecx1 & Avx) != 0 && (ecx1 & OsXsave) != 0 && (HostXcr0() & (StateSse | StateAvx)) == (StateSse | StateAvx);
        Leaf1Edx = edx1 & Leaf1EdxImplemented;
        Leaf1Ecx = (ecx1 & Leaf1EcxImplemented) | (1u << 26) | (HasAvx ? ecx1 & Leaf1EcxAvx : 0);
        Leaf7Ebx = ebx7 & (HasAvx ? Avx2 | Sha : Sha);
        Leaf7Ecx = ecx7 & (HasAvx ? Gfni | Vaes | Vpclmulqdq : Gfni);
        Leaf7Subleaf1Eax = HasAvx ? eax71 & AvxVnni : 0;
        Xcr0Supported = StateX87 | StateSse | (HasAvx ? StateAvx : 0);
    }

    /// <summary>Whether this host's programs can use AVX.</summary>
    public static bool HasAvx { get; }

    /// <summary>Leaves out of a set of features those of this room that the host's processor lacks.</summary>
    public static CpuFeatureSet Restrict(CpuFeatureSet features)
    {
        Keep(CpuidWord.Leaf1Edx, Leaf1EdxImplemented, Leaf1Edx);
        Keep(CpuidWord.Leaf1Ecx, Leaf1EcxImplemented | Leaf1EcxAvx, Leaf1Ecx);
        Keep(CpuidWord.Leaf7Ebx, Avx2 | Sha, Leaf7Ebx);
        Keep(CpuidWord.Leaf7Ecx, Gfni | Vaes | Vpclmulqdq, Leaf7Ecx);
        Keep(CpuidWord.Leaf7Subleaf1Eax, AvxVnni, Leaf7Subleaf1Eax);
        return features;

        void Keep(CpuidWord word, uint own, uint present) => features[word] &= ~own | present;
    }

    /// <summary>CPUID.01H:EDX bits of this room.</summary>
    public static uint Leaf1Edx { get; }

    /// <summary>CPUID.01H:ECX bits of this room. OSXSAVE (bit 27) mirrors CR4 and is the policy's to add.</summary>
    public static uint Leaf1Ecx { get; }

    /// <summary>CPUID.07H.0:EBX bits of this room.</summary>
    public static uint Leaf7Ebx { get; }

    /// <summary>CPUID.07H.0:ECX bits of this room.</summary>
    public static uint Leaf7Ecx { get; }

    /// <summary>CPUID.07H.1:EAX bits of this room.</summary>
    public static uint Leaf7Subleaf1Eax { get; }

    /// <summary>The bits that XSETBV may set.</summary>
    public static ulong Xcr0Supported { get; }

    /// <summary>Bits of MXCSR that may be set: all but the reserved upper half; AMD's misaligned-access bit 17 is not offered.</summary>
    public static uint MxcsrMask => 0xffff;

    /// <summary>
    /// Whether XSETBV may load that value, of those that the processor has (SDM Vol. 2 XSETBV): x87 always on, AVX only with SSE.
    /// </summary>
    public static bool IsValidXcr0(ulong value, ulong supported) =>
        (value & ~supported) == 0 && (value & StateX87) != 0 && (value & (StateSse | StateAvx)) != StateAvx;

    /// <summary>Bytes of an XSAVE area in standard format for the components of <paramref name="features"/>.</summary>
    public static uint StandardSize(ulong features) => (features & StatePkru) != 0 ? (uint)XsaveArea.PkruOffset + PkruSize
        : LegacyAndHeader + ((features & StateAvx) != 0 ? (uint)AvxComponentSize : 0);

    /// <summary>Bytes of one in compacted format, where PKRU follows what is there.</summary>
    public static uint CompactedSize(ulong features) => StandardSize(features & ~StatePkru) + ((features & StatePkru) != 0 ? PkruSize : 0);

    /// <summary>
    /// CPUID leaf 0DH for a guest that may set <paramref name="supported"/> in XCR0 and has set <paramref name="xcr0"/>. Zero for
    /// sub-leaves that name no component.
    /// </summary>
    /// <param name="instructions">EAX of sub-leaf 1: XSAVEOPT, XSAVEC and compacted XRSTOR, XGETBV with ECX = 1.</param>
    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) ExtendedStateLeaf(
        uint subleaf, ulong xcr0, ulong supported, uint instructions) =>
        subleaf switch
    {
        0 => ((uint)supported, StandardSize(xcr0), StandardSize(supported), 0),

        1 => (instructions, CompactedSize(xcr0), 0, 0),
        2 when (supported & StateAvx) != 0 => (AvxComponentSize, LegacyAndHeader, 0, 0),
        9 when (supported & StatePkru) != 0 => (PkruSize, (uint)XsaveArea.PkruOffset, 0, 0),
        _ => default,
    };

    /// <summary>The state components that the host's operating system enabled. #UD without OSXSAVE.</summary>
    private static ulong HostXcr0()
    {
        nint read = HostStub.Assemble(a =>
        {
            a.xor(ecx, ecx);
            a.xgetbv();
            a.shl(rdx, 32);
            a.or(rax, rdx);
            a.ret();
        });
        return ((delegate* unmanaged[SuppressGCTransition]<ulong>)read)();
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Leaf(uint leaf, uint subleaf)
    {
        (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)leaf, (int)subleaf);
        return ((uint)eax, (uint)ebx, (uint)ecx, (uint)edx);
    }
}
