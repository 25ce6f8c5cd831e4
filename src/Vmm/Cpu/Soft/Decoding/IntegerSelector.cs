using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

using unsafe Handler = delegate*<CpuContext*, Operation*, Operation*>;

/// <summary>Handlers of the general-purpose data-processing instructions: one for each operation, operand size and operand form.</summary>
internal static unsafe partial class IntegerSelector
{
    /// <summary>
    /// Sets <see cref="Operation.Handler"/> and adjusts operands where the handler wants them otherwise. False: not an instruction of this
    /// family.
    /// </summary>
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* op)
    {
        Handler handler = Select(in instruction, op);
        op->Handler = handler;
        return handler != null;
    }

    private static Handler Select(in Instruction instruction, Operation* op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Add: return Binary<Add>(in instruction, op);
            case Mnemonic.Adc: return Binary<AddWithCarry>(in instruction, op);
            case Mnemonic.Sub: return Binary<Subtract>(in instruction, op);
            case Mnemonic.Sbb: return Binary<SubtractWithBorrow>(in instruction, op);
            case Mnemonic.And: return Binary<And>(in instruction, op);
            case Mnemonic.Or: return Binary<Or>(in instruction, op);
            case Mnemonic.Xor: return Binary<Xor>(in instruction, op);
            case Mnemonic.Cmp: return Compare<Subtract>(in instruction, op);
            case Mnemonic.Test: return Compare<And>(in instruction, op);
            case Mnemonic.Inc: return Unary<Increment>(in instruction, op);
            case Mnemonic.Dec: return Unary<Decrement>(in instruction, op);
            case Mnemonic.Neg: return Unary<Negate>(in instruction, op);
            case Mnemonic.Not: return Unary<Not>(in instruction, op);
            case Mnemonic.Mov: return Move(in instruction, op);
            case Mnemonic.Movzx: return ZeroExtend(in instruction, op);
            case Mnemonic.Movsx or Mnemonic.Movsxd: return SignExtend(in instruction, op);
            case Mnemonic.Lea: return LoadAddress(in instruction, op);
            case Mnemonic.Push: return Push(in instruction, op);
            case Mnemonic.Pop: return Pop(in instruction, op);
            case Mnemonic.Shl or Mnemonic.Sal: return Shift<ShiftLeft>(in instruction, op);
            case Mnemonic.Shr: return Shift<ShiftRight>(in instruction, op);
            case Mnemonic.Sar: return Shift<ShiftRightArithmetic>(in instruction, op);
            case Mnemonic.Rol: return Shift<RotateLeft>(in instruction, op);
            case Mnemonic.Ror: return Shift<RotateRight>(in instruction, op);
            case Mnemonic.Rcl: return Shift<RotateLeftThroughCarry>(in instruction, op);
            case Mnemonic.Rcr: return Shift<RotateRightThroughCarry>(in instruction, op);
            case Mnemonic.Shld: return DoubleShift<DoubleShiftLeft>(in instruction, op);
            case Mnemonic.Shrd: return DoubleShift<DoubleShiftRight>(in instruction, op);
            case Mnemonic.Mul: return MultiplyUnsigned(in instruction);
            case Mnemonic.Imul: return MultiplySigned(in instruction);
            case Mnemonic.Mulx: return MultiplyFlagless(in instruction);
            case Mnemonic.Div: return DivideUnsigned(in instruction);
            case Mnemonic.Idiv: return DivideSigned(in instruction);
            case Mnemonic.Xchg: return Exchange(in instruction, op);
            case Mnemonic.Xadd: return ExchangeAdd(in instruction, op);
            case Mnemonic.Cmpxchg: return CompareExchange(in instruction, op);
            case Mnemonic.Bt: return BitTest(in instruction, op);
            case Mnemonic.Bts: return BitChange<BitSet>(in instruction, op);
            case Mnemonic.Btr: return BitChange<BitReset>(in instruction, op);
            case Mnemonic.Btc: return BitChange<BitComplement>(in instruction, op);
            case Mnemonic.Bsf: return BitScan<BitScanForward>(in instruction);
            case Mnemonic.Bsr: return BitScan<BitScanReverse>(in instruction);
            case Mnemonic.Tzcnt: return BitScan<CountTrailingZeros>(in instruction);
            case Mnemonic.Lzcnt: return BitScan<CountLeadingZeros>(in instruction);
            case Mnemonic.Popcnt: return BitScan<CountOnes>(in instruction);
            default:
                break;
        }

        if (instruction.ConditionCode != ConditionCode.None)
        {
            return Conditional(in instruction, op);
        }

        if (instruction.IsStringInstruction)
        {
            return String(in instruction, op);
        }

        Handler handler = BitField(in instruction, op);
        return handler != null ? handler : Rare(in instruction, op);
    }

    /// <summary>Instructions with one or few forms.</summary>
    private static Handler Rare(in Instruction instruction, Operation* op)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Cbw: return &WidenHandlers.Accumulator<sbyte, ushort>;
            case Mnemonic.Cwde: return &WidenHandlers.Accumulator<short, uint>;
            case Mnemonic.Cdqe: return &WidenHandlers.Accumulator<int, ulong>;
            case Mnemonic.Cwd: return &WidenHandlers.IntoData<ushort>;
            case Mnemonic.Cdq: return &WidenHandlers.IntoData<uint>;
            case Mnemonic.Cqo: return &WidenHandlers.IntoData<ulong>;
            case Mnemonic.Clc: return &FlagHandlers.ClearCarry;
            case Mnemonic.Stc: return &FlagHandlers.SetCarry;
            case Mnemonic.Cmc: return &FlagHandlers.ComplementCarry;
            case Mnemonic.Cld: return &FlagHandlers.ClearDirection;
            case Mnemonic.Std: return &FlagHandlers.SetDirection;
            case Mnemonic.Lahf: return &FlagHandlers.LoadToAh;
            case Mnemonic.Sahf: return &FlagHandlers.StoreFromAh;
            case Mnemonic.Salc: return &FlagHandlers.SetAlFromCarry;
            case Mnemonic.Pusha: return &StackHandlers.PushAll<ushort>;
            case Mnemonic.Pushad: return &StackHandlers.PushAll<uint>;
            case Mnemonic.Popa: return &StackHandlers.PopAll<ushort>;
            case Mnemonic.Popad: return &StackHandlers.PopAll<uint>;
            case Mnemonic.Enter:
                op->Immediate = instruction.Immediate16 | ((ulong)instruction.Immediate8_2nd << 16);
                return instruction.Code switch
                {
                    Code.Enterw_imm16_imm8 => &StackHandlers.Enter<ushort>,
                    Code.Enterd_imm16_imm8 => &StackHandlers.Enter<uint>,
                    _ => &StackHandlers.Enter<ulong>,
                };
            case Mnemonic.Leave:
                return instruction.Code switch
                {
                    Code.Leavew => &StackHandlers.Leave<ushort>,
                    Code.Leaved => &StackHandlers.Leave<uint>,
                    _ => &StackHandlers.LeaveDirect,
                };
            case Mnemonic.Daa: return &DecimalHandlers.AdjustAfterAddition;
            case Mnemonic.Das: return &DecimalHandlers.AdjustAfterSubtraction;
            case Mnemonic.Aaa: return &DecimalHandlers.AsciiAfterAddition;
            case Mnemonic.Aas: return &DecimalHandlers.AsciiAfterSubtraction;
            case Mnemonic.Aam: return &DecimalHandlers.AsciiAfterMultiplication;
            case Mnemonic.Aad: return &DecimalHandlers.AsciiBeforeDivision;
            case Mnemonic.Xlatb:
                return (op->Flags & OperationFlags.Address16) != 0 ? &MoveHandlers.TableLookup<ushort>
                    : (op->Flags & OperationFlags.Address32) != 0 ? &MoveHandlers.TableLookup<uint> : &MoveHandlers.TableLookup<ulong>;
            case Mnemonic.Movbe: return SwappedMove(in instruction);
            case Mnemonic.Bswap:
                return OperandSize(in instruction, 0) switch
                {
                    2 => &MoveHandlers.ByteSwap<ushort>,
                    4 => &MoveHandlers.ByteSwap<uint>,
                    _ => &MoveHandlers.ByteSwap<ulong>,
                };
            case Mnemonic.Movnti:
                return OperandSize(in instruction, 1) == 8
                    ? &MoveHandlers.MemoryRegister<ulong, GeneralPath>
                    : &MoveHandlers.MemoryRegister<uint, GeneralPath>;
            case Mnemonic.Cmpxchg8b: return &WideExchangeHandlers.CompareExchange8;
            case Mnemonic.Cmpxchg16b: return &WideExchangeHandlers.CompareExchange16;
            case Mnemonic.Bound:
                return instruction.Code == Code.Bound_r16_m1616 ? &MiscellaneousHandlers.Bound16 : &MiscellaneousHandlers.Bound32;
            case Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Endbr32 or Mnemonic.Endbr64:
            case Mnemonic.Prefetch or Mnemonic.Prefetchw or Mnemonic.Prefetchwt1:
            case Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2:
            case Mnemonic.Lfence or Mnemonic.Sfence or Mnemonic.Cldemote:
                return &MiscellaneousHandlers.Nothing;
            case Mnemonic.Mfence: return &MiscellaneousHandlers.FullFence;
            case Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb: return &MiscellaneousHandlers.FlushLine;
            case Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2: return &MiscellaneousHandlers.Undefined;
            default: return null;
        }
    }

    /// <summary>Bytes of a register or memory operand.</summary>
    private static int OperandSize(in Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register
            ? instruction.GetOpRegister(operand).GetSize()
            : instruction.MemorySize.GetSize();

    /// <summary>How handlers get to memory; see <see cref="IMemoryPath"/>.</summary>
    private enum MemoryPath
    {
        Direct,
        Based,
        General,
    }

    private static MemoryPath Path(Operation* op) =>
        (op->Flags & OperationFlags.Flat) != 0 ? MemoryPath.Direct
        : (op->Flags & (OperationFlags.Long | OperationFlags.Address32)) == OperationFlags.Long
            && op->Segment is (byte)SegmentIndex.Fs or (byte)SegmentIndex.Gs ? MemoryPath.Based
        : MemoryPath.General;

    private static bool Locked(Operation* op) => (op->Flags & OperationFlags.Lock) != 0;
}
