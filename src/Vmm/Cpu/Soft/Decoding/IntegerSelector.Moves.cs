using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

using unsafe Handler = delegate*<CpuContext*, Operation*, Operation*>;

/// <content>Data movement: MOV and its kind, the stack, exchanges, strings.</content>
internal static unsafe partial class IntegerSelector
{
    private static Handler Move(in Instruction instruction, Operation* op)
    {
        var target = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register : Register.None;
        var source = instruction.Op1Kind == OpKind.Register ? instruction.Op1Register : Register.None;
        if (source.IsSegmentRegister())
        {
            return target == Register.None ? &MoveHandlers.MemorySelector
                : target.GetSize() switch
                {
                    2 => &MoveHandlers.RegisterSelector<ushort>,
                    4 => &MoveHandlers.RegisterSelector<uint>,
                    _ => &MoveHandlers.RegisterSelector<ulong>,
                };
        }

        if ((target != Register.None && !target.IsGPR()) || (source != Register.None && !source.IsGPR()))
        {
            return null;
        }

        return OperandSize(in instruction, 0) switch
        {
            1 => Move<byte>(in instruction, op),
            2 => Move<ushort>(in instruction, op),
            4 => Move<uint>(in instruction, op),
            _ => Move<ulong>(in instruction, op),
        };
    }

    private static Handler Move<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        // Only the accumulator's forms have a 64-bit absolute address, which does not fit the displacement.
        bool absolute = instruction.MemoryDisplSize == 8 && instruction.MemoryBase == Register.None && instruction.MemoryIndex == Register.None;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            if (absolute && instruction.Op1Kind == OpKind.Register)
            {
                op->Immediate = instruction.MemoryDisplacement64;
                return &MoveHandlers.OffsetRegister<T>;
            }

            return instruction.Op1Kind == OpKind.Register ? &MoveHandlers.MemoryRegister<T> : &MoveHandlers.MemoryImmediate<T>;
        }

        if (instruction.Op1Kind == OpKind.Memory)
        {
            if (absolute)
            {
                op->Immediate = instruction.MemoryDisplacement64;
                return &MoveHandlers.RegisterOffset<T>;
            }

            return &MoveHandlers.RegisterMemory<T>;
        }

        return instruction.Op1Kind == OpKind.Register ? &MoveHandlers.RegisterRegister<T> : &MoveHandlers.RegisterImmediate<T>;
    }

    private static Handler ZeroExtend(in Instruction instruction) =>
        OperandSize(in instruction, 1) == 1 ? Extend<byte>(in instruction) : Extend<ushort>(in instruction);

    private static Handler SignExtend(in Instruction instruction) => OperandSize(in instruction, 1) switch
    {
        1 => Extend<sbyte>(in instruction),
        2 => Extend<short>(in instruction),
        _ => Extend<int>(in instruction),
    };

    private static Handler Extend<TFrom>(in Instruction instruction)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            2 => register ? &MoveHandlers.ExtendRegister<TFrom, ushort> : &MoveHandlers.ExtendMemory<TFrom, ushort>,
            4 => register ? &MoveHandlers.ExtendRegister<TFrom, uint> : &MoveHandlers.ExtendMemory<TFrom, uint>,
            _ => register ? &MoveHandlers.ExtendRegister<TFrom, ulong> : &MoveHandlers.ExtendMemory<TFrom, ulong>,
        };
    }

    private static Handler LoadAddress(in Instruction instruction) => instruction.Op0Register.GetSize() switch
    {
        2 => &MoveHandlers.LoadEffectiveAddress<ushort>,
        4 => &MoveHandlers.LoadEffectiveAddress<uint>,
        _ => &MoveHandlers.LoadEffectiveAddress<ulong>,
    };

    private static Handler SwappedMove(in Instruction instruction)
    {
        bool load = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            2 => load ? &MoveHandlers.SwappedLoad<ushort> : &MoveHandlers.SwappedStore<ushort>,
            4 => load ? &MoveHandlers.SwappedLoad<uint> : &MoveHandlers.SwappedStore<uint>,
            _ => load ? &MoveHandlers.SwappedLoad<ulong> : &MoveHandlers.SwappedStore<ulong>,
        };
    }

    private static Handler Push(in Instruction instruction) => instruction.StackPointerIncrement switch
    {
        -2 => Push<ushort>(in instruction),
        -4 => Push<uint>(in instruction),
        _ => Push<ulong>(in instruction),
    };

    private static Handler Push<T>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T> => instruction.Op0Kind switch
        {
            OpKind.Register when instruction.Op0Register.IsSegmentRegister() => &StackHandlers.PushSelector<T>,
            OpKind.Register => &StackHandlers.PushRegister<T>,
            OpKind.Memory => &StackHandlers.PushMemory<T>,
            _ => &StackHandlers.PushImmediate<T>,
        };

    private static Handler Pop(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        if (register && instruction.Op0Register.IsSegmentRegister())
        {
            return null;
        }

        return instruction.StackPointerIncrement switch
        {
            2 => register ? &StackHandlers.PopRegister<ushort> : &StackHandlers.PopMemory<ushort>,
            4 => register ? &StackHandlers.PopRegister<uint> : &StackHandlers.PopMemory<uint>,
            _ => register ? &StackHandlers.PopRegister<ulong> : &StackHandlers.PopMemory<ulong>,
        };
    }

    private static Handler Exchange(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register && instruction.Op1Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &ExchangeHandlers.RegisterRegister<byte> : &ExchangeHandlers.MemoryRegister<byte>,
            2 => register ? &ExchangeHandlers.RegisterRegister<ushort> : &ExchangeHandlers.MemoryRegister<ushort>,
            4 => register ? &ExchangeHandlers.RegisterRegister<uint> : &ExchangeHandlers.MemoryRegister<uint>,
            _ => register ? &ExchangeHandlers.RegisterRegister<ulong> : &ExchangeHandlers.MemoryRegister<ulong>,
        };
    }

    private static Handler ExchangeAdd(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &ExchangeHandlers.AddRegister<byte> : &ExchangeHandlers.AddMemory<byte>,
            2 => register ? &ExchangeHandlers.AddRegister<ushort> : &ExchangeHandlers.AddMemory<ushort>,
            4 => register ? &ExchangeHandlers.AddRegister<uint> : &ExchangeHandlers.AddMemory<uint>,
            _ => register ? &ExchangeHandlers.AddRegister<ulong> : &ExchangeHandlers.AddMemory<ulong>,
        };
    }

    private static Handler CompareExchange(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &ExchangeHandlers.CompareRegister<byte> : &ExchangeHandlers.CompareMemory<byte>,
            2 => register ? &ExchangeHandlers.CompareRegister<ushort> : &ExchangeHandlers.CompareMemory<ushort>,
            4 => register ? &ExchangeHandlers.CompareRegister<uint> : &ExchangeHandlers.CompareMemory<uint>,
            _ => register ? &ExchangeHandlers.CompareRegister<ulong> : &ExchangeHandlers.CompareMemory<ulong>,
        };
    }

    private static Handler String(in Instruction instruction, Operation* op) =>
        (op->Flags & OperationFlags.Address16) != 0 ? String<ushort>(in instruction, op)
        : (op->Flags & OperationFlags.Address32) != 0 ? String<uint>(in instruction, op) : String<ulong>(in instruction, op);

    private static Handler String<TAddress>(in Instruction instruction, Operation* op)
        where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress> => instruction.MemorySize.GetSize() switch
        {
            1 => String<byte, TAddress>(in instruction, op),
            2 => String<ushort, TAddress>(in instruction, op),
            4 => String<uint, TAddress>(in instruction, op),
            _ => String<ulong, TAddress>(in instruction, op),
        };

    private static Handler String<T, TAddress>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
    {
        bool repeat = (op->Flags & (OperationFlags.Rep | OperationFlags.Repne)) != 0;
        return instruction.Mnemonic switch
        {
            Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq =>
                repeat ? &StringMoveHandlers<T, TAddress>.RepeatMove : &StringMoveHandlers<T, TAddress>.Move,
            Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq =>
                repeat ? &StringMoveHandlers<T, TAddress>.RepeatStore : &StringMoveHandlers<T, TAddress>.Store,
            Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq =>
                repeat ? &StringMoveHandlers<T, TAddress>.RepeatLoad : &StringMoveHandlers<T, TAddress>.Load,
            Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq =>
                repeat ? &StringCompareHandlers<T, TAddress>.RepeatScan : &StringCompareHandlers<T, TAddress>.Scan,
            Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq =>
                repeat ? &StringCompareHandlers<T, TAddress>.RepeatCompare : &StringCompareHandlers<T, TAddress>.Compare,
            _ => null,
        };
    }
}
