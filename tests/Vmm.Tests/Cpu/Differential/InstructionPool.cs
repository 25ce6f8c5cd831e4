using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Semantics;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The instruction forms that random streams are made of, by class.</summary>
internal sealed class InstructionPool
{
    private static readonly HashSet<CpuidFeature> _integer =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486,
        CpuidFeature.X64, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B, CpuidFeature.CMOV, CpuidFeature.POPCNT, CpuidFeature.LZCNT,
        CpuidFeature.BMI1, CpuidFeature.BMI2, CpuidFeature.ADX, CpuidFeature.MOVBE, CpuidFeature.MULTIBYTENOP, CpuidFeature.CLFSH,
    ];

    private static readonly HashSet<CpuidFeature> _x87 = [CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387, CpuidFeature.CMOV];

    private static readonly HashSet<CpuidFeature> _mmx = [CpuidFeature.MMX];

    private static readonly HashSet<CpuidFeature> _sse =
    [
        CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2,
        CpuidFeature.AES, CpuidFeature.PCLMULQDQ, CpuidFeature.SHA, CpuidFeature.GFNI, CpuidFeature.FPU,
    ];

    private static readonly HashSet<CpuidFeature> _avx =
    [
        CpuidFeature.AVX, CpuidFeature.AVX2, CpuidFeature.FMA, CpuidFeature.F16C, CpuidFeature.AES, CpuidFeature.PCLMULQDQ,
        CpuidFeature.GFNI, CpuidFeature.VAES, CpuidFeature.VPCLMULQDQ, CpuidFeature.AVX_VNNI,
    ];

    private static readonly HashSet<CpuidFeature> _state = [CpuidFeature.FXSR, CpuidFeature.XSAVE, CpuidFeature.XSAVEC];

    // Not a matter of user code alone (gates, segments of the host, interrupts), or different from processor to processor on purpose.
    private static readonly HashSet<Mnemonic> _excluded =
    [
        Mnemonic.Int, Mnemonic.Int1, Mnemonic.Int3, Mnemonic.Into, Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq, Mnemonic.Retf,
        Mnemonic.Lds, Mnemonic.Les, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss, Mnemonic.Sgdt, Mnemonic.Sidt, Mnemonic.Sldt, Mnemonic.Str,
        Mnemonic.Smsw, Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw, Mnemonic.Xgetbv, Mnemonic.Xsetbv,
        Mnemonic.Feni, Mnemonic.Fdisi, Mnemonic.Fclex, Mnemonic.Finit, Mnemonic.Fsave, Mnemonic.Fstcw, Mnemonic.Fstenv, Mnemonic.Fstsw,
        Mnemonic.Fsetpm,
    ];

    private readonly Code[][] _classes;
    private readonly Code[] _branches;

    public InstructionPool(int bitness, bool privileged = false)
    {
        var forms = Enum.GetValues<Code>().Where(code => IsUsable(code, bitness, privileged)).ToArray();
        _classes =
        [
            Class(forms, _integer, [CpuidFeature.INTEL8086]),
            Class(forms, _x87, [CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387]),
            Class(forms, _mmx, _mmx),
            Class(forms, _sse, _sse),
            Class(forms, _avx, _avx).Where(code => code.ToOpCode().Encoding == EncodingKind.VEX).ToArray(),
            Class(forms, _state, _state),
        ];
        _branches = [.. _classes[0].Where(code => code.IsJccShortOrNear())];
    }

    public bool HasBranches => _branches.Length != 0;

    /// <summary>A conditional branch.</summary>
    public Code PickBranch(Random random) => _branches[random.Next(_branches.Length)];

    /// <summary>Every form of every class.</summary>
    public IEnumerable<Code> All => _classes.SelectMany(forms => forms);

    public Code Pick(Random random)
    {
        // Integer code is the half of it; whole-state saves are slow and few.
        int draw = random.Next(100);
        int index = draw < 45 ? 0 : draw < 60 ? 1 : draw < 67 ? 2 : draw < 83 ? 3 : draw < 98 ? 4 : 5;
        Code[] forms = _classes[index];
        return forms.Length == 0 ? _classes[0][random.Next(_classes[0].Length)] : forms[random.Next(forms.Length)];
    }

    private static Code[] Class(Code[] forms, HashSet<CpuidFeature> features, IEnumerable<CpuidFeature> needed)
    {
        var any = needed.ToHashSet();
        bool integer = any.Contains(CpuidFeature.INTEL8086);
        return forms.Where(code => code.CpuidFeatures().All(features.Contains) && (integer || code.CpuidFeatures().Any(any.Contains)))
            .ToArray();
    }

    private static bool IsUsable(Code code, int bitness, bool privileged)
    {
        OpCodeInfo info = code.ToOpCode();

        // MOVSXD with a 16-bit operand reads two bytes on Intel's processors and four on AMD's.
        if (!info.IsInstruction || info.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX)
            || !(bitness == 64 ? info.Mode64 : info.Mode32) || _excluded.Contains(code.Mnemonic())
            || info.IsPrivileged != privileged || !IsOffered(code) || code == Code.Movsxd_r16_rm16)
        {
            return false;
        }

        for (int i = 0; i < info.OpCount; i++)
        {
            OpCodeOperandKind kind = info.GetOpKind(i);
            bool segment = kind is OpCodeOperandKind.seg_reg or OpCodeOperandKind.es or OpCodeOperandKind.cs or OpCodeOperandKind.ss
                or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs;
            bool branch16 = kind is OpCodeOperandKind.br16_1 or OpCodeOperandKind.br16_2;
            bool far = kind is OpCodeOperandKind.farbr2_2 or OpCodeOperandKind.farbr4_2;
            if (segment || branch16 || far || kind is OpCodeOperandKind.cr_reg or OpCodeOperandKind.dr_reg)
            {
                return false;
            }
        }

        // Far indirect branches, and near ones with an operand size that the vendors disagree on.
        string name = code.ToString();
        return !(info.OpCount > 0 && info.GetOpKind(0) == OpCodeOperandKind.mem && code.Mnemonic() is Mnemonic.Call or Mnemonic.Jmp
            && name.Contains("_m1", StringComparison.Ordinal))
            && !(bitness == 64 && code is Code.Call_rm16 or Code.Jmp_rm16 or Code.Retnw or Code.Retnw_imm16)
            && !(code is Code.Retnw or Code.Retnw_imm16 or Code.Call_rm16 or Code.Jmp_rm16);
    }

    private static bool IsOffered(Code code) => code.CpuidFeatures().All(feature => feature switch
    {
        CpuidFeature.SSE3 => Bit(VectorFeatures.Leaf1Ecx, 0),
        CpuidFeature.PCLMULQDQ => Bit(VectorFeatures.Leaf1Ecx, 1),
        CpuidFeature.SSSE3 => Bit(VectorFeatures.Leaf1Ecx, 9),
        CpuidFeature.FMA => Bit(VectorFeatures.Leaf1Ecx, 12),
        CpuidFeature.SSE4_1 => Bit(VectorFeatures.Leaf1Ecx, 19),
        CpuidFeature.SSE4_2 => Bit(VectorFeatures.Leaf1Ecx, 20),
        CpuidFeature.AES => Bit(VectorFeatures.Leaf1Ecx, 25),
        CpuidFeature.AVX => Bit(VectorFeatures.Leaf1Ecx, 28),
        CpuidFeature.F16C => Bit(VectorFeatures.Leaf1Ecx, 29),
        CpuidFeature.AVX2 => Bit(VectorFeatures.Leaf7Ebx, 5),
        CpuidFeature.SHA => Bit(VectorFeatures.Leaf7Ebx, 29),
        CpuidFeature.GFNI => Bit(VectorFeatures.Leaf7Ecx, 8),
        CpuidFeature.VAES => Bit(VectorFeatures.Leaf7Ecx, 9),
        CpuidFeature.VPCLMULQDQ => Bit(VectorFeatures.Leaf7Ecx, 10),
        CpuidFeature.AVX_VNNI => Bit(VectorFeatures.Leaf7Subleaf1Eax, 4),
        _ => true,
    });

    private static bool Bit(uint features, int bit) => ((features >> bit) & 1) != 0;
}
