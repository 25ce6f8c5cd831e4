using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Branches;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <content>Segment registers, descriptor tables, far transfers.</content>
internal static unsafe partial class SystemSelector
{
    private static bool TrySelectSegmentation(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        // Outside protected mode, and in virtual-8086 mode, these do not exist (SDM Vol. 3B §20.1.3).
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lldt or Mnemonic.Ltr or Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Lar or Mnemonic.Lsl
                or Mnemonic.Verr or Mnemonic.Verw or Mnemonic.Arpl:
                return mode.Protected && TrySelectProtected(in instruction, operation);
        }

        switch (instruction.Code)
        {
            case Code.Lgdt_m1632_16 or Code.Lidt_m1632_16 or Code.Sgdt_m1632_16 or Code.Sidt_m1632_16:
                operation->Flags |= OperationFlags.Operand16;
                break;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lgdt: return Select(operation, &DescriptorTableInstructions.LoadGlobal);
            case Mnemonic.Lidt: return Select(operation, &DescriptorTableInstructions.LoadInterrupt);
            case Mnemonic.Sgdt: return Select(operation, &DescriptorTableInstructions.StoreGlobal);
            case Mnemonic.Sidt: return Select(operation, &DescriptorTableInstructions.StoreInterrupt);
            case Mnemonic.Push: return SelectPush(in instruction, in mode, operation);
            case Mnemonic.Pop: return SelectPop(in instruction, in mode, operation);
            case Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss:
                return SelectPointer(in instruction, operation);
            case Mnemonic.Iret: return Select(operation, &FarReturns.InterruptReturn<ushort>);
            case Mnemonic.Iretd: return Select(operation, &FarReturns.InterruptReturn<uint>);
            case Mnemonic.Iretq: return Select(operation, &FarReturns.InterruptReturn<ulong>);
        }

        switch (instruction.Code)
        {
            case Code.Retfw or Code.Retfw_imm16: return Select(operation, &FarReturns.Return<ushort>);
            case Code.Retfd or Code.Retfd_imm16: return Select(operation, &FarReturns.Return<uint>);
            case Code.Retfq or Code.Retfq_imm16: return Select(operation, &FarReturns.Return<ulong>);
            case Code.Jmp_ptr1616: return Select(operation, &FarBranches.Jump<ushort>);
            case Code.Jmp_ptr1632: return Select(operation, &FarBranches.Jump<uint>);
            case Code.Call_ptr1616: return Select(operation, &FarBranches.Call<ushort>);
            case Code.Call_ptr1632: return Select(operation, &FarBranches.Call<uint>);
            case Code.Jmp_m1616: return Select(operation, &FarBranches.JumpMemory<ushort>);
            case Code.Jmp_m1632: return Select(operation, &FarBranches.JumpMemory<uint>);
            case Code.Jmp_m1664: return Select(operation, &FarBranches.JumpMemory<ulong>);
            case Code.Call_m1616: return Select(operation, &FarBranches.CallMemory<ushort>);
            case Code.Call_m1632: return Select(operation, &FarBranches.CallMemory<uint>);
            case Code.Call_m1664: return Select(operation, &FarBranches.CallMemory<ulong>);
            default: return false;
        }
    }

    private static bool TrySelectProtected(in Instruction instruction, Operation* operation)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lldt: return SelectOperand(in instruction, operation, &DescriptorTableInstructions.LoadLocal);
            case Mnemonic.Ltr: return SelectOperand(in instruction, operation, &DescriptorTableInstructions.LoadTask);
            case Mnemonic.Sldt: return SelectOperand(in instruction, operation, &DescriptorTableInstructions.StoreLocal);
            case Mnemonic.Str: return SelectOperand(in instruction, operation, &DescriptorTableInstructions.StoreTask);
            case Mnemonic.Verr: return SelectOperand(in instruction, operation, &SegmentInstructions.VerifyRead);
            case Mnemonic.Verw: return SelectOperand(in instruction, operation, &SegmentInstructions.VerifyWrite);
            case Mnemonic.Arpl:
                MarkOperand(in instruction, 0, operation);
                operation->Reg1 = OperationDecoder.RegisterNumber(instruction.Op1Register);
                return Select(operation, &SegmentInstructions.AdjustRpl);
            default:
                operation->Reg2 = instruction.Op1Kind == OpKind.Register ? Operand.IsRegister : (byte)0;
                operation->Immediate = OperandBytes(in instruction);
                return Select(
                    operation, instruction.Mnemonic == Mnemonic.Lar
                        ? &SegmentInstructions.LoadAccessRights
                        : &SegmentInstructions.LoadLimit);
        }
    }

    private static bool SelectPush(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        if (instruction.Op0Kind != OpKind.Register || !instruction.Op0Register.IsSegmentRegister())
        {
            return false;
        }

        operation->Reg1 = (byte)(instruction.Op0Register - Register.ES);
        return Select(operation, StackBytes(in instruction, in mode) switch
        {
            2 => &SegmentInstructions.Push<ushort>,
            4 => &SegmentInstructions.Push<uint>,
            _ => &SegmentInstructions.Push<ulong>,
        });
    }

    private static bool SelectPop(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        if (instruction.Op0Kind != OpKind.Register || !instruction.Op0Register.IsSegmentRegister())
        {
            return false;
        }

        if (instruction.Op0Register == Register.SS)
        {
            operation->Flags |= OperationFlags.Last;
        }

        operation->Reg1 = (byte)(instruction.Op0Register - Register.ES);
        return Select(operation, StackBytes(in instruction, in mode) switch
        {
            2 => &SegmentInstructions.Pop<ushort>,
            4 => &SegmentInstructions.Pop<uint>,
            _ => &SegmentInstructions.Pop<ulong>,
        });
    }

    private static int StackBytes(in Instruction instruction, in DecodeMode mode) => Math.Abs(instruction.StackPointerIncrement) switch
    {
        0 => mode.Bitness / 8,
        var bytes => bytes,
    };

    private static bool SelectPointer(in Instruction instruction, Operation* operation)
    {
        var segment = instruction.Mnemonic switch
        {
            Mnemonic.Lds => State.SegmentIndex.Ds,
            Mnemonic.Les => State.SegmentIndex.Es,
            Mnemonic.Lfs => State.SegmentIndex.Fs,
            Mnemonic.Lgs => State.SegmentIndex.Gs,
            _ => State.SegmentIndex.Ss,
        };
        operation->Reg1 = (byte)segment;
        if (segment == State.SegmentIndex.Ss)
        {
            operation->Flags |= OperationFlags.Last;
        }

        return Select(operation, OperandBytes(in instruction) switch
        {
            2 => &SegmentInstructions.LoadPointer<ushort>,
            4 => &SegmentInstructions.LoadPointer<uint>,
            _ => &SegmentInstructions.LoadPointer<ulong>,
        });
    }
}
