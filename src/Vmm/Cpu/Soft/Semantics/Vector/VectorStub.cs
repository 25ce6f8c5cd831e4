using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Generates the stub that executes one MMX, SSE or AVX instruction form on the host: loads its operands from where the arguments
/// point, executes the instruction itself, stores the results. Operand i lives in vector register i + 1 of the host (register 0 is for
/// instructions that name XMM0 by themselves) or in RAX, R10, R11; a memory operand stays one and addresses the scratch area.
/// </summary>
internal static class VectorStub
{
    private static readonly Register[] _pointers = [Register.RDI, Register.RSI, Register.RDX, Register.RCX];
    private static readonly Register[] _general = [Register.RAX, Register.R10, Register.R11];
    private const Register Scratch = Register.R8;
    private const Register Context = Register.R9;

    /// <summary>Distance from the low half of a YMM register to its high half in the XSAVE area.</summary>
    private const int HighHalf = XsaveArea.YmmHighOffset - XsaveArea.XmmOffset;

    public static nint Generate(in Instruction original, VectorFormFlags flags)
    {
        var code = new List<Instruction>(16);
        Instruction instruction = original;
        bool vex = flags.HasFlag(VectorFormFlags.Vex);
        int xmm0 = CpuState.XsaveOffset + XsaveArea.XmmOffset;
        Normalize(ref instruction);

        for (int i = 0; i < original.OpCount; i++)
        {
            if (original.GetOpKind(i) == OpKind.Register)
            {
                Load(code, instruction.GetOpRegister(i), _pointers[i]);
            }
        }

        ImplicitOperands implied = ImplicitOperandsOf(original.Mnemonic);
        if (implied.HasFlag(ImplicitOperands.ReadsXmm0))
        {
            code.Add(Instruction.Create(Code.Movups_xmm_xmmm128, Register.XMM0, Memory(Context, xmm0)));
        }

        if (implied.HasFlag(ImplicitOperands.ReadsLengths))
        {
            code.Add(Instruction.Create(Code.Mov_r64_rm64, Register.RAX, Memory(Context, 0)));
            code.Add(Instruction.Create(Code.Mov_r64_rm64, Register.RDX, Memory(Context, 16)));
        }

        bool obeysMxcsr = flags.HasFlag(VectorFormFlags.Float);
        if (obeysMxcsr)
        {
            code.Add(Instruction.Create(Code.Ldmxcsr_m32, Memory(Scratch, VectorScratch.GuestMxcsrOffset)));
        }

        code.Add(instruction);
        if (obeysMxcsr)
        {
            code.Add(Instruction.Create(Code.Stmxcsr_m32, Memory(Scratch, VectorScratch.ResultMxcsrOffset)));
            code.Add(Instruction.Create(Code.Ldmxcsr_m32, Memory(Scratch, VectorScratch.HostMxcsrOffset)));
        }

        if (flags.HasFlag(VectorFormFlags.WritesFlags))
        {
            code.Add(Instruction.Create(Code.Pushfq));
            code.Add(Instruction.Create(Code.Pop_r64, Register.R10));
            code.Add(Instruction.Create(Code.Mov_rm64_r64, Memory(Scratch, VectorScratch.FlagsOffset), Register.R10));
        }

        // Operand 0 is the only explicit destination of every form that comes here; comparisons have none.
        OpAccess access = new InstructionInfoFactory().GetInfo(original).GetOpAccess(0);
        if (original.GetOpKind(0) == OpKind.Register && access is not (OpAccess.Read or OpAccess.None or OpAccess.CondRead))
        {
            Store(code, instruction.GetOpRegister(0), _pointers[0], vex);
        }

        if (implied.HasFlag(ImplicitOperands.WritesXmm0))
        {
            code.Add(Instruction.Create(Code.Movups_xmmm128_xmm, Memory(Context, xmm0), Register.XMM0));
            if (vex)
            {
                StoreHighHalf(code, Register.YMM0, Context, xmm0 + HighHalf);
            }
        }

        if (implied.HasFlag(ImplicitOperands.WritesRcx))
        {
            code.Add(Instruction.Create(Code.Mov_rm64_r64, Memory(Context, 8), Register.RCX));
        }

        if (vex)
        {
            code.Add(Instruction.Create(Code.VEX_Vzeroupper));
        }

        if (flags.HasFlag(VectorFormFlags.Mmx))
        {
            code.Add(Instruction.Create(Code.Emms));
        }

        code.Add(Instruction.Create(Code.Retnq));
        return HostStub.Encode(code);
    }

    private static void Normalize(ref Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Register:
                    instruction.SetOpRegister(i, HostRegister(instruction.GetOpRegister(i), i));
                    break;
                case OpKind.Memory:
                    instruction.MemoryBase = _pointers[i];
                    instruction.MemoryIndex = Register.None;
                    instruction.MemoryIndexScale = 1;
                    instruction.MemoryDisplacement64 = 0;
                    instruction.MemoryDisplSize = 0;
                    instruction.SegmentPrefix = Register.None;
                    break;
            }
        }

        instruction.HasRepPrefix = false;
        instruction.HasRepnePrefix = false;
    }

    private static Register HostRegister(Register guest, int operand) =>
        guest.IsXMM() ? Register.XMM1 + operand
        : guest.IsYMM() ? Register.YMM1 + operand
        : guest.IsMM() ? Register.MM0 + operand
        : guest.IsGPR64() ? _general[operand]
        : _general[operand].GetFullRegister32();

    private static void Load(List<Instruction> code, Register register, Register pointer)
    {
        MemoryOperand source = Memory(pointer, 0);
        if (register.IsXMM())
        {
            code.Add(Instruction.Create(Code.Movups_xmm_xmmm128, register, source));
        }
        else if (register.IsYMM())
        {
            Register low = Register.XMM0 + (register - Register.YMM0);
            code.Add(Instruction.Create(Code.VEX_Vmovups_xmm_xmmm128, low, source));
            code.Add(Instruction.Create(Code.VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, register, register, Memory(pointer, HighHalf), 1));
        }
        else if (register.IsMM())
        {
            code.Add(Instruction.Create(Code.Movq_mm_mmm64, register, source));
        }
        else
        {
            code.Add(Instruction.Create(Code.Mov_r64_rm64, register.GetFullRegister(), source));
        }
    }

    private static void Store(List<Instruction> code, Register register, Register pointer, bool vex)
    {
        MemoryOperand destination = Memory(pointer, 0);
        if (register.IsXMM() || register.IsYMM())
        {
            int number = register.IsXMM() ? register - Register.XMM0 : register - Register.YMM0;
            code.Add(Instruction.Create(Code.Movups_xmmm128_xmm, destination, Register.XMM0 + number));
            if (vex)
            {
                StoreHighHalf(code, Register.YMM0 + number, pointer, HighHalf);
            }
        }
        else if (register.IsMM())
        {
            code.Add(Instruction.Create(Code.Movq_mmm64_mm, destination, register));
        }
        else
        {
            code.Add(Instruction.Create(Code.Mov_rm64_r64, destination, register.GetFullRegister()));
        }
    }

    private static void StoreHighHalf(List<Instruction> code, Register ymm, Register pointer, int displacement) =>
        code.Add(Instruction.Create(Code.VEX_Vextractf128_xmmm128_ymm_imm8, Memory(pointer, displacement), ymm, 1));

    private static MemoryOperand Memory(Register pointer, int displacement) => new(pointer, displacement, displacement == 0 ? 0 : 1);

    [Flags]
    private enum ImplicitOperands
    {
        None = 0,
        ReadsXmm0 = 1,
        WritesXmm0 = 2,

        /// <summary>EAX and EDX, or RAX and RDX, hold string lengths.</summary>
        ReadsLengths = 4,
        WritesRcx = 8,
    }

    private static ImplicitOperands ImplicitOperandsOf(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Pblendvb or Mnemonic.Blendvps or Mnemonic.Blendvpd or Mnemonic.Sha256rnds2 => ImplicitOperands.ReadsXmm0,
        Mnemonic.Pcmpistri or Mnemonic.Vpcmpistri => ImplicitOperands.WritesRcx,
        Mnemonic.Pcmpistrm or Mnemonic.Vpcmpistrm => ImplicitOperands.WritesXmm0,
        Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Vpcmpestri or Mnemonic.Vpcmpestri64 =>
            ImplicitOperands.ReadsLengths | ImplicitOperands.WritesRcx,
        Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Vpcmpestrm or Mnemonic.Vpcmpestrm64 =>
            ImplicitOperands.ReadsLengths | ImplicitOperands.WritesXmm0,
        _ => ImplicitOperands.None,
    };
}
