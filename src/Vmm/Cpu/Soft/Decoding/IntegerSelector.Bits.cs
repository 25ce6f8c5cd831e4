using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

using unsafe Handler = delegate*<CpuContext*, Operation*, Operation*>;

/// <content>Conditions, single bits, bit fields.</content>
internal static unsafe partial class IntegerSelector
{
    private static Handler Conditional(in Instruction instruction, Operation* op) => instruction.ConditionCode switch
    {
        ConditionCode.o => Conditional<IfOverflow>(in instruction, op),
        ConditionCode.no => Conditional<Unless<IfOverflow>>(in instruction, op),
        ConditionCode.b => Conditional<IfBelow>(in instruction, op),
        ConditionCode.ae => Conditional<Unless<IfBelow>>(in instruction, op),
        ConditionCode.e => Conditional<IfEqual>(in instruction, op),
        ConditionCode.ne => Conditional<Unless<IfEqual>>(in instruction, op),
        ConditionCode.be => Conditional<IfBelowOrEqual>(in instruction, op),
        ConditionCode.a => Conditional<Unless<IfBelowOrEqual>>(in instruction, op),
        ConditionCode.s => Conditional<IfSign>(in instruction, op),
        ConditionCode.ns => Conditional<Unless<IfSign>>(in instruction, op),
        ConditionCode.p => Conditional<IfParity>(in instruction, op),
        ConditionCode.np => Conditional<Unless<IfParity>>(in instruction, op),
        ConditionCode.l => Conditional<IfLess>(in instruction, op),
        ConditionCode.ge => Conditional<Unless<IfLess>>(in instruction, op),
        ConditionCode.le => Conditional<IfLessOrEqual>(in instruction, op),
        _ => Conditional<Unless<IfLessOrEqual>>(in instruction, op),
    };

    /// <summary>SETcc and CMOVcc; other instructions with a condition (Jcc, LOOPcc, FCMOVcc, CMPccXADD) are not here.</summary>
    private static Handler Conditional<TCondition>(in Instruction instruction, Operation* op)
        where TCondition : struct, ICondition
    {
        return instruction.OpCount switch
        {
            1 when instruction.Op0Kind == OpKind.Register => &ConditionalHandlers.SetRegister<TCondition>,
            1 when instruction.Op0Kind == OpKind.Memory => &ConditionalHandlers.SetMemory<TCondition>,
            2 when instruction.Op0Register.IsGPR() => OperandSize(in instruction, 0) switch
            {
                2 => ConditionalMove<TCondition, ushort>(in instruction, op),
                4 => ConditionalMove<TCondition, uint>(in instruction, op),
                _ => ConditionalMove<TCondition, ulong>(in instruction, op),
            },
            _ => null,
        };
    }

    private static Handler ConditionalMove<TCondition, T>(in Instruction instruction, Operation* op)
        where TCondition : struct, ICondition
        where T : unmanaged =>
        instruction.Op1Kind == OpKind.Register ? &ConditionalHandlers.MoveRegister<TCondition, T> : Path(op) switch
        {
            MemoryPath.Direct => &ConditionalHandlers.MoveMemory<TCondition, T, DirectPath>,
            MemoryPath.Based => &ConditionalHandlers.MoveMemory<TCondition, T, BasedPath>,
            _ => &ConditionalHandlers.MoveMemory<TCondition, T, GeneralPath>,
        };

    private static Handler BitTest(in Instruction instruction, Operation* op) => OperandSize(in instruction, 0) switch
    {
        2 => BitTest<ushort>(in instruction, op),
        4 => BitTest<uint>(in instruction, op),
        _ => BitTest<ulong>(in instruction, op),
    };

    private static Handler BitTest<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        if (instruction.Op1Kind == OpKind.Register)
        {
            return register ? &BitTestHandlers.TestRegister<T> : &BitTestHandlers.TestMemory<T>;
        }

        ImmediateToMask<T>(op);
        return Compare<Semantics.Integer.BitTest, T>(in instruction, op);
    }

    private static Handler BitChange<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation => OperandSize(in instruction, 0) switch
        {
            2 => BitChange<TOperation, ushort>(in instruction, op),
            4 => BitChange<TOperation, uint>(in instruction, op),
            _ => BitChange<TOperation, ulong>(in instruction, op),
        };

    private static Handler BitChange<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        if (instruction.Op1Kind == OpKind.Register)
        {
            return register ? &BitTestHandlers.ChangeRegister<TOperation, T> : &BitTestHandlers.ChangeMemory<TOperation, T>;
        }

        ImmediateToMask<T>(op);
        return Binary<TOperation, T>(in instruction, op);
    }

    private static void ImmediateToMask<T>(Operation* op)
        where T : unmanaged => op->Immediate = 1UL << ((int)op->Immediate & ((sizeof(T) * 8) - 1));

    private static Handler BitScan<TOperation>(in Instruction instruction)
        where TOperation : struct, IScanOperation
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            2 => register ? &BitScanHandlers.Register<TOperation, ushort> : &BitScanHandlers.Memory<TOperation, ushort>,
            4 => register ? &BitScanHandlers.Register<TOperation, uint> : &BitScanHandlers.Memory<TOperation, uint>,
            _ => register ? &BitScanHandlers.Register<TOperation, ulong> : &BitScanHandlers.Memory<TOperation, ulong>,
        };
    }

    /// <summary>BMI1, BMI2, ADX, CRC32.</summary>
    private static Handler BitField(in Instruction instruction, Operation* op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Andn: return MaskLast<AndNot>(in instruction, op);
            case Mnemonic.Pdep: return MaskLast<DepositBits>(in instruction, op);
            case Mnemonic.Pext: return MaskLast<ExtractBits>(in instruction, op);
            case Mnemonic.Bextr: return BitField<ExtractField>(in instruction);
            case Mnemonic.Blsi: return BitField<IsolateLowestBit>(in instruction);
            case Mnemonic.Blsmsk: return BitField<MaskToLowestBit>(in instruction);
            case Mnemonic.Blsr: return BitField<ResetLowestBit>(in instruction);
            case Mnemonic.Bzhi: return BitField<ZeroHighBits>(in instruction);
            case Mnemonic.Rorx: return BitField<FlaglessRotateRight>(in instruction);
            case Mnemonic.Shlx: return BitField<FlaglessShiftLeft>(in instruction);
            case Mnemonic.Shrx: return BitField<FlaglessShiftRight>(in instruction);
            case Mnemonic.Sarx: return BitField<FlaglessShiftRightArithmetic>(in instruction);
            case Mnemonic.Adcx or Mnemonic.Adox: return CarryChain(in instruction);
            case Mnemonic.Crc32: return Checksum(in instruction);
            default: return null;
        }
    }

    /// <summary>The operand that may be memory is the last one: let it be the source in the register form too.</summary>
    private static Handler MaskLast<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBitFieldOperation
    {
        if (instruction.Op2Kind == OpKind.Register)
        {
            (op->Reg1, op->Reg2) = (op->Reg2, op->Reg1);
        }

        return BitField<TOperation>(in instruction);
    }

    private static Handler BitField<TOperation>(in Instruction instruction)
        where TOperation : struct, IBitFieldOperation => OperandSize(in instruction, 0) == 8
            ? BitField<TOperation, ulong>(in instruction)
            : BitField<TOperation, uint>(in instruction);

    private static Handler BitField<TOperation, T>(in Instruction instruction)
        where TOperation : struct, IBitFieldOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        // XOP forms with an immediate (BEXTR of TBM) are other instructions.
        bool memory = instruction.Op1Kind == OpKind.Memory || (instruction.OpCount > 2 && instruction.Op2Kind == OpKind.Memory);
        bool immediate = instruction.OpCount == 3 && instruction.Op2Kind == OpKind.Immediate8;
        return instruction.Encoding != EncodingKind.VEX ? null
            : immediate
            ? memory ? &BitFieldHandlers.MemoryImmediate<TOperation, T> : &BitFieldHandlers.RegisterImmediate<TOperation, T>
            : memory ? &BitFieldHandlers.Memory<TOperation, T> : &BitFieldHandlers.Register<TOperation, T>;
    }

    private static Handler CarryChain(in Instruction instruction) => instruction.Code switch
    {
        Code.Adcx_r32_rm32 =>
            instruction.Op1Kind == OpKind.Register ? &CarryChainHandlers.CarryRegister<uint> : &CarryChainHandlers.CarryMemory<uint>,
        Code.Adcx_r64_rm64 =>
            instruction.Op1Kind == OpKind.Register ? &CarryChainHandlers.CarryRegister<ulong> : &CarryChainHandlers.CarryMemory<ulong>,
        Code.Adox_r32_rm32 =>
            instruction.Op1Kind == OpKind.Register ? &CarryChainHandlers.OverflowRegister<uint> : &CarryChainHandlers.OverflowMemory<uint>,
        _ => instruction.Op1Kind == OpKind.Register
            ? &CarryChainHandlers.OverflowRegister<ulong>
            : &CarryChainHandlers.OverflowMemory<ulong>,
    };

    private static Handler Checksum(in Instruction instruction)
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return OperandSize(in instruction, 1) switch
        {
            1 => register ? &ChecksumHandlers.Register<byte> : &ChecksumHandlers.Memory<byte>,
            2 => register ? &ChecksumHandlers.Register<ushort> : &ChecksumHandlers.Memory<ushort>,
            4 => register ? &ChecksumHandlers.Register<uint> : &ChecksumHandlers.Memory<uint>,
            _ => register ? &ChecksumHandlers.Register<ulong> : &ChecksumHandlers.Memory<ulong>,
        };
    }
}
