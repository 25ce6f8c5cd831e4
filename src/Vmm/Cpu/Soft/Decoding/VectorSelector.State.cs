using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Vector;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

internal static unsafe partial class VectorSelector
{
    /// <summary>Extended state, MXCSR, MMX and AVX state, cache hints.</summary>
    private static bool TrySelectState(in Instruction instruction, Operation* operation)
    {
        delegate*<CpuContext*, Operation*, Operation*> handler = null;
        switch (instruction.Code)
        {
            case Code.Fxsave_m512byte or Code.Fxsave64_m512byte:
                handler = &ExtendedState.Fxsave;
                break;
            case Code.Fxrstor_m512byte or Code.Fxrstor64_m512byte:
                handler = &ExtendedState.Fxrstor;
                break;
            case Code.Xsave_mem or Code.Xsave64_mem:
                handler = &ExtendedState.Xsave;
                break;
            case Code.Xsaveopt_mem or Code.Xsaveopt64_mem:
                handler = &ExtendedState.Xsaveopt;
                break;
            case Code.Xsavec_mem or Code.Xsavec64_mem:
                handler = &ExtendedState.Xsavec;
                break;
            case Code.Xrstor_mem or Code.Xrstor64_mem:
                handler = &ExtendedState.Xrstor;
                break;
            case Code.Xgetbv:
                handler = &ExtendedState.Xgetbv;
                break;
            case Code.Ldmxcsr_m32:
                handler = &ControlStatus.LoadMxcsr<SseAccess>;
                break;
            case Code.VEX_Vldmxcsr_m32:
                handler = &ControlStatus.LoadMxcsr<AvxAccess>;
                break;
            case Code.Stmxcsr_m32:
                handler = &ControlStatus.StoreMxcsr<SseAccess>;
                break;
            case Code.VEX_Vstmxcsr_m32:
                handler = &ControlStatus.StoreMxcsr<AvxAccess>;
                break;
            case Code.Wait:
                // Iced counts it among the 8086's own instructions.
                handler = &X87Control.Fwait;
                break;
            case Code.Emms:
                handler = &ControlStatus.Emms;
                break;
            case Code.VEX_Vzeroupper:
                handler = &ControlStatus.ZeroUpper;
                break;
            case Code.VEX_Vzeroall:
                handler = &ControlStatus.ZeroAll;
                break;
            case Code.Movnti_m32_r32:
                operation->Reg0 = VectorRegisters.SlotOf(instruction.Op1Register);
                handler = &ControlStatus.StoreInteger<uint>;
                break;
            case Code.Movnti_m64_r64:
                operation->Reg0 = VectorRegisters.SlotOf(instruction.Op1Register);
                handler = &ControlStatus.StoreInteger<ulong>;
                break;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Sfence or Mnemonic.Lfence or Mnemonic.Mfence:
                handler = &ControlStatus.Fence;
                break;
            case Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2
                or Mnemonic.Prefetch or Mnemonic.Prefetchw or Mnemonic.Prefetchwt1:
                handler = &ControlStatus.Ignore;
                break;
        }

        if (handler == null || instruction.HasLockPrefix
            || (IsVex(instruction.Code) && FamilyOf(instruction.Code) == Family.None))
        {
            return false;
        }

        if (instruction.MemorySize is MemorySize.Fxsave64_512Byte or MemorySize.Xsave64)
        {
            operation->Immediate = 1;
        }

        operation->Handler = handler;
        return true;
    }

    /// <summary>What reads or writes memory element by element under a mask.</summary>
    private static bool TrySelectElementwise(in Instruction instruction, Operation* operation)
    {
        delegate*<CpuContext*, Operation*, Operation*> handler = null;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Maskmovdqu:
                handler = &MaskedMoves.StoreBytes<SseAccess>;
                break;
            case Mnemonic.Vmaskmovdqu:
                handler = &MaskedMoves.StoreBytes<AvxAccess>;
                break;
            case Mnemonic.Maskmovq:
                handler = &MaskedMoves.StoreMmxBytes;
                break;
            case Mnemonic.Vmaskmovps or Mnemonic.Vpmaskmovd:
                handler = instruction.Op0Kind == OpKind.Memory ? &MaskedMoves.StoreElements<uint> : &MaskedMoves.LoadElements<uint>;
                break;
            case Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovq:
                handler = instruction.Op0Kind == OpKind.Memory ? &MaskedMoves.StoreElements<ulong> : &MaskedMoves.LoadElements<ulong>;
                break;
            case Mnemonic.Vgatherdps or Mnemonic.Vpgatherdd:
                return SelectGather(in instruction, operation, &Gathers.Gather<int, uint>, 4, 4);
            case Mnemonic.Vgatherdpd or Mnemonic.Vpgatherdq:
                return SelectGather(in instruction, operation, &Gathers.Gather<int, ulong>, 4, 8);
            case Mnemonic.Vgatherqps or Mnemonic.Vpgatherqd:
                return SelectGather(in instruction, operation, &Gathers.Gather<long, uint>, 8, 4);
            case Mnemonic.Vgatherqpd or Mnemonic.Vpgatherqq:
                return SelectGather(in instruction, operation, &Gathers.Gather<long, ulong>, 8, 8);
        }

        if (handler == null)
        {
            return false;
        }

        NameRegisters(in instruction, operation, memory: true);
        operation->Immediate = (ulong)instruction.MemorySize.GetSize();
        operation->Handler = handler;
        return true;
    }

    private static bool SelectGather(
        in Instruction instruction,
        Operation* operation,
        delegate*<CpuContext*, Operation*, Operation*> handler,
        int indexBytes,
        int elementBytes)
    {
        int destination = instruction.Op0Register.GetNumber();
        int mask = instruction.Op2Register.GetNumber();
        int index = instruction.MemoryIndex.GetNumber();
        operation->Handler = handler;
        NameRegisters(in instruction, operation, memory: true);
        int vectorBytes = instruction.MemoryIndex.IsYMM() || instruction.Op0Register.IsYMM() ? 32 : 16;
        operation->Immediate = (ulong)(vectorBytes / Math.Max(indexBytes, elementBytes));

        // All three must differ (#UD).
        return destination != mask && destination != index && mask != index;
    }
}
