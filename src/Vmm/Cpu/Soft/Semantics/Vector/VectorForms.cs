using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>Makes and remembers the <see cref="VectorForm"/> of every MMX, SSE and AVX instruction that was ever decoded.</summary>
internal static unsafe class VectorForms
{
    private static readonly ConcurrentDictionary<ulong, nint> _forms = new();
    private static readonly Lock _gate = new();

    // Mnemonics that neither obey MXCSR nor raise its exceptions; all others are treated as if they did, which costs time only.
    private static readonly string[] _withoutMxcsr =
    [
        "P", "Vp", "And", "Vand", "Or", "Vor", "Xor", "Vxor", "Mov", "Vmov", "Unpck", "Vunpck", "Shuf", "Vshuf", "Blend", "Vblend",
        "Extract", "Vextract", "Insert", "Vinsert", "Vbroadcast", "Vtest", "Aes", "Vaes", "Sha", "Gf2", "Vgf2", "Lddqu", "Vlddqu",
        "Rcp", "Vrcp", "Rsqrt", "Vrsqrt",
    ];

    // Arithmetic whose exact result can be tiny although no operand need be.
    private static readonly string[] _underflowing =
    [
        "Add", "Vadd", "Sub", "Vsub", "Mul", "Vmul", "Div", "Vdiv", "Hadd", "Vhadd", "Hsub", "Vhsub", "Vfm", "Vfnm",
        "Cvtpd2ps", "Vcvtpd2ps", "Cvtsd2ss", "Vcvtsd2ss", "Dpp", "Vdpp",
    ];

    /// <summary>The form of an instruction with explicit register, memory and immediate operands only, the first the destination.</summary>
    public static VectorForm* Of(in Instruction instruction)
    {
        ulong key = (ulong)instruction.Code << 16;
        int last = instruction.OpCount - 1;
        if (last >= 0 && instruction.GetOpKind(last) == OpKind.Immediate8)
        {
            key |= (ulong)instruction.Immediate8 << 8;
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                key |= 1u << i;
            }
        }

        if (_forms.TryGetValue(key, out nint form))
        {
            return (VectorForm*)form;
        }

        lock (_gate)
        {
            return (VectorForm*)_forms.GetOrAdd(key, static (_, instruction) => Create(in instruction), instruction);
        }
    }

    private static nint Create(in Instruction instruction)
    {
        var form = (VectorForm*)NativeMemory.AllocZeroed((nuint)sizeof(VectorForm));
        string name = instruction.Mnemonic.ToString();
        EncodingKind encoding = instruction.Code.Encoding();
        var flags = VectorFormFlags.None;
        if (encoding == EncodingKind.VEX)
        {
            flags |= VectorFormFlags.Vex;
        }

        if (instruction.RflagsModified != Iced.Intel.RflagsBits.None)
        {
            flags |= VectorFormFlags.WritesFlags;
        }

        if (!StartsWithAny(name, _withoutMxcsr))
        {
            flags |= VectorFormFlags.Float;
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                form->MemoryOperand = (byte)i;
                form->MemoryBytes = (byte)instruction.MemorySize.GetSize();
                form->AlignmentMask = (byte)(RequiredAlignment(instruction.Mnemonic, encoding, form->MemoryBytes) - 1);
                flags |= i == 0 ? VectorFormFlags.Store : VectorFormFlags.None;
            }
            else if (instruction.GetOpKind(i) == OpKind.Register && instruction.GetOpRegister(i).IsMM())
            {
                flags |= VectorFormFlags.Mmx | (i == 0 ? VectorFormFlags.MmxDestination : VectorFormFlags.None);
            }
        }

        if (instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsVectorRegister())
        {
            flags |= VectorFormFlags.VectorDestination;
            if (StartsWithAny(name, _underflowing))
            {
                bool scalar = name[^2] == 's';
                form->ResultElementBytes = name[^1] == 's' ? (byte)4 : (byte)8;
                int bytes = instruction.Op0Register.IsYMM() ? 32 : 16;
                form->ResultElements = scalar ? (byte)1 : (byte)(bytes / form->ResultElementBytes);
            }
        }

        if (instruction.Mnemonic == Mnemonic.Vcvtps2ph)
        {
            // Half as wide as its source, in a register or in memory.
            form->ResultElementBytes = 2;
            form->ResultElements = instruction.Op1Register.IsYMM() ? (byte)8 : (byte)4;
        }

        form->Flags = flags;
        form->Stub = (delegate* unmanaged[SuppressGCTransition]<byte*, byte*, byte*, byte*, VectorScratch*, CpuContext*, void>)
            VectorStub.Generate(in instruction, flags);
        return (nint)form;
    }

    /// <summary>
    /// Alignment that a memory operand needs (SDM Vol. 2A §2.4, table 2-21): 16 bytes with legacy encoding, none with VEX, but for a few.
    /// </summary>
    private static int RequiredAlignment(Mnemonic mnemonic, EncodingKind encoding, int bytes) => mnemonic switch
    {
        Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa or Mnemonic.Vmovntps or Mnemonic.Vmovntpd or Mnemonic.Vmovntdq
            or Mnemonic.Vmovntdqa => bytes,
        Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
            or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm
            or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 => 1,
        _ => encoding == EncodingKind.Legacy && bytes == 16 ? 16 : 1,
    };

    private static bool StartsWithAny(string name, string[] prefixes)
    {
        foreach (string prefix in prefixes)
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}
