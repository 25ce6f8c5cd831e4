using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

internal static unsafe partial class VectorSelector
{
    private static bool TrySelectX87(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        ulong layout = mode.Protected ? 0 : X87Environment.RealMode;
        switch (instruction.Code)
        {
            case Code.Fninit:
                operation->Handler = &X87Control.Fninit;
                return true;
            case Code.Fnclex:
                operation->Handler = &X87Control.Fnclex;
                return true;
            case Code.Fneni:
            case Code.Fndisi:
            case Code.Fnsetpm:
                operation->Handler = &X87Control.Nothing;
                return true;
            case Code.Fnstcw_m2byte:
                operation->Handler = &X87Control.Fnstcw;
                return true;
            case Code.Fldcw_m2byte:
                operation->Handler = &X87Control.Fldcw;
                return true;
            case Code.Fnstsw_m2byte:
                operation->Handler = &X87Control.Fnstsw;
                return true;
            case Code.Fnstsw_AX:
                operation->Handler = &X87Control.FnstswAx;
                return true;
            case Code.Fnstenv_m14byte:
            case Code.Fnstenv_m28byte:
                operation->Immediate = layout | (instruction.Code == Code.Fnstenv_m28byte ? X87Environment.Wide : 0);
                operation->Handler = &X87Control.Fnstenv;
                return true;
            case Code.Fldenv_m14byte:
            case Code.Fldenv_m28byte:
                operation->Immediate = layout | (instruction.Code == Code.Fldenv_m28byte ? X87Environment.Wide : 0);
                operation->Handler = &X87Control.Fldenv;
                return true;
            case Code.Fnsave_m94byte:
            case Code.Fnsave_m108byte:
                operation->Immediate = layout | (instruction.Code == Code.Fnsave_m108byte ? X87Environment.Wide : 0);
                operation->Handler = &X87Control.Fnsave;
                return true;
            case Code.Frstor_m94byte:
            case Code.Frstor_m108byte:
                operation->Immediate = layout | (instruction.Code == Code.Frstor_m108byte ? X87Environment.Wide : 0);
                operation->Handler = &X87Control.Frstor;
                return true;
        }

        operation->Immediate = (ulong)X87Forms.Of(in instruction);
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Memory)
        {
            operation->Handler = &X87Arithmetic.Register;
            return true;
        }

        bool store = instruction.Mnemonic is Mnemonic.Fst or Mnemonic.Fstp or Mnemonic.Fist or Mnemonic.Fistp or Mnemonic.Fisttp
            or Mnemonic.Fbstp;
        operation->Handler = (instruction.MemorySize.GetSize(), store) switch
        {
            (2, false) => &X87Arithmetic.Load<ushort>,
            (4, false) => &X87Arithmetic.Load<uint>,
            (8, false) => &X87Arithmetic.Load<ulong>,
            (10, false) => &X87Arithmetic.Load<Bytes10>,
            (2, true) => &X87Arithmetic.Store<ushort>,
            (4, true) => &X87Arithmetic.Store<uint>,
            (8, true) => &X87Arithmetic.Store<ulong>,
            (10, true) => &X87Arithmetic.Store<Bytes10>,
            _ => null,
        };
        return operation->Handler != null;
    }
}
