using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Branches;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Chooses the handlers of near branches.</summary>
internal static unsafe class BranchSelector
{
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        if (instruction.FlowControl == FlowControl.Next)
        {
            return false;
        }

        // In 64-bit mode an operand-size prefix does not narrow near branches (SDM Vol. 2A, JMP).
        return mode.Bitness == 64 ? TrySelect<ulong>(in instruction, operation)
            : Is16(in instruction) ? TrySelect<ushort>(in instruction, operation) : TrySelect<uint>(in instruction, operation);
    }

    private static bool Is16(in Instruction instruction) => instruction.Code switch
    {
        Code.Jmp_rm16 or Code.Call_rm16 or Code.Retnw or Code.Retnw_imm16 => true,
        Code.Jmp_rm32 or Code.Call_rm32 or Code.Retnd or Code.Retnd_imm16 => false,
        _ => instruction.Op0Kind == OpKind.NearBranch16,
    };

    private static bool TrySelect<TWidth>(in Instruction instruction, Operation* operation)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (instruction.IsJccShortOrNear)
        {
            operation->Handler = Conditional<TWidth>(instruction.ConditionCode);
            if (sizeof(TWidth) == 8)
            {
                BranchFusion.TryFuse(operation, instruction.ConditionCode);
            }

            return true;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Jmp when instruction.IsJmpShortOrNear:
                operation->Handler = sizeof(TWidth) == 8 ? &DirectBranches.Jump : &NearBranches.Jump<TWidth>;
                return true;
            case Mnemonic.Jmp when instruction.IsJmpNearIndirect:
                operation->Handler = instruction.Op0Kind == OpKind.Register
                    ? &NearBranches.JumpRegister<TWidth>
                    : &NearBranches.JumpMemory<TWidth>;
                return true;
            case Mnemonic.Call when instruction.IsCallNear:
                operation->Handler = sizeof(TWidth) == 8 ? &DirectBranches.Call : &NearBranches.Call<TWidth>;
                return true;
            case Mnemonic.Call when instruction.IsCallNearIndirect:
                operation->Handler = instruction.Op0Kind == OpKind.Register
                    ? &NearBranches.CallRegister<TWidth>
                    : &NearBranches.CallMemory<TWidth>;
                return true;
            case Mnemonic.Ret:
                operation->Handler = sizeof(TWidth) == 8 ? &DirectBranches.Return : &NearBranches.Return<TWidth>;
                return true;
            default:
                return TrySelectCounted<TWidth>(in instruction, operation);
        }
    }

    private static delegate*<CpuContext*, Operation*, Operation*> Conditional<TWidth>(ConditionCode condition)
        where TWidth : unmanaged, IBinaryInteger<TWidth> => sizeof(TWidth) == 8 ? Conditional64(condition) : condition switch
        {
            ConditionCode.o => &NearBranches.JumpIf<TWidth, IfOverflow>,
            ConditionCode.no => &NearBranches.JumpIf<TWidth, Unless<IfOverflow>>,
            ConditionCode.b => &NearBranches.JumpIf<TWidth, IfBelow>,
            ConditionCode.ae => &NearBranches.JumpIf<TWidth, Unless<IfBelow>>,
            ConditionCode.e => &NearBranches.JumpIf<TWidth, IfEqual>,
            ConditionCode.ne => &NearBranches.JumpIf<TWidth, Unless<IfEqual>>,
            ConditionCode.be => &NearBranches.JumpIf<TWidth, IfBelowOrEqual>,
            ConditionCode.a => &NearBranches.JumpIf<TWidth, Unless<IfBelowOrEqual>>,
            ConditionCode.s => &NearBranches.JumpIf<TWidth, IfSign>,
            ConditionCode.ns => &NearBranches.JumpIf<TWidth, Unless<IfSign>>,
            ConditionCode.p => &NearBranches.JumpIf<TWidth, IfParity>,
            ConditionCode.np => &NearBranches.JumpIf<TWidth, Unless<IfParity>>,
            ConditionCode.l => &NearBranches.JumpIf<TWidth, IfLess>,
            ConditionCode.ge => &NearBranches.JumpIf<TWidth, Unless<IfLess>>,
            ConditionCode.le => &NearBranches.JumpIf<TWidth, IfLessOrEqual>,
            _ => &NearBranches.JumpIf<TWidth, Unless<IfLessOrEqual>>,
        };

    private static delegate*<CpuContext*, Operation*, Operation*> Conditional64(ConditionCode condition) => condition switch
    {
        ConditionCode.o => &DirectBranches.JumpIf<IfOverflow>,
        ConditionCode.no => &DirectBranches.JumpIf<Unless<IfOverflow>>,
        ConditionCode.b => &DirectBranches.JumpIf<IfBelow>,
        ConditionCode.ae => &DirectBranches.JumpIf<Unless<IfBelow>>,
        ConditionCode.e => &DirectBranches.JumpIf<IfEqual>,
        ConditionCode.ne => &DirectBranches.JumpIf<Unless<IfEqual>>,
        ConditionCode.be => &DirectBranches.JumpIf<IfBelowOrEqual>,
        ConditionCode.a => &DirectBranches.JumpIf<Unless<IfBelowOrEqual>>,
        ConditionCode.s => &DirectBranches.JumpIf<IfSign>,
        ConditionCode.ns => &DirectBranches.JumpIf<Unless<IfSign>>,
        ConditionCode.p => &DirectBranches.JumpIf<IfParity>,
        ConditionCode.np => &DirectBranches.JumpIf<Unless<IfParity>>,
        ConditionCode.l => &DirectBranches.JumpIf<IfLess>,
        ConditionCode.ge => &DirectBranches.JumpIf<Unless<IfLess>>,
        ConditionCode.le => &DirectBranches.JumpIf<IfLessOrEqual>,
        _ => &DirectBranches.JumpIf<Unless<IfLessOrEqual>>,
    };

    private static bool TrySelectCounted<TWidth>(in Instruction instruction, Operation* operation)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Loop:
                operation->Handler = CounterBits(instruction.Code) switch
                {
                    16 => &NearBranches.Loop<TWidth, ushort, Always>,
                    32 => &NearBranches.Loop<TWidth, uint, Always>,
                    _ => &NearBranches.Loop<TWidth, ulong, Always>,
                };
                return true;
            case Mnemonic.Loope:
                operation->Handler = CounterBits(instruction.Code) switch
                {
                    16 => &NearBranches.Loop<TWidth, ushort, IfEqual>,
                    32 => &NearBranches.Loop<TWidth, uint, IfEqual>,
                    _ => &NearBranches.Loop<TWidth, ulong, IfEqual>,
                };
                return true;
            case Mnemonic.Loopne:
                operation->Handler = CounterBits(instruction.Code) switch
                {
                    16 => &NearBranches.Loop<TWidth, ushort, Unless<IfEqual>>,
                    32 => &NearBranches.Loop<TWidth, uint, Unless<IfEqual>>,
                    _ => &NearBranches.Loop<TWidth, ulong, Unless<IfEqual>>,
                };
                return true;
            case Mnemonic.Jcxz:
                operation->Handler = &NearBranches.JumpIfCounterZero<TWidth, ushort>;
                return true;
            case Mnemonic.Jecxz:
                operation->Handler = &NearBranches.JumpIfCounterZero<TWidth, uint>;
                return true;
            case Mnemonic.Jrcxz:
                operation->Handler = &NearBranches.JumpIfCounterZero<TWidth, ulong>;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Width of the counter, which is the address size: part of the code's name only.</summary>
    private static int CounterBits(Code code) => code switch
    {
        Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX
            or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX => 16,
        Code.Loop_rel8_64_RCX or Code.Loop_rel8_16_RCX or Code.Loope_rel8_64_RCX or Code.Loope_rel8_16_RCX
            or Code.Loopne_rel8_64_RCX or Code.Loopne_rel8_16_RCX => 64,
        _ => 32,
    };

    /// <summary>LOOP's condition besides the counter.</summary>
    private readonly struct Always : ICondition
    {
        public static bool Holds(CpuContext* cpu) => true;
    }
}
