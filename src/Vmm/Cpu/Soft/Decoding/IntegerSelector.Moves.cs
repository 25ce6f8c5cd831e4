using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

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
        bool absolute = instruction.MemoryDisplSize == 8 && instruction.MemoryBase == Register.None
            && instruction.MemoryIndex == Register.None;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            if (absolute && instruction.Op1Kind == OpKind.Register)
            {
                op->Immediate = instruction.MemoryDisplacement64;
                return &MoveHandlers.OffsetRegister<T>;
            }

            return MoveMemory<T>(in instruction, op);
        }

        if (instruction.Op1Kind == OpKind.Memory)
        {
            if (absolute)
            {
                op->Immediate = instruction.MemoryDisplacement64;
                return &MoveHandlers.RegisterOffset<T>;
            }

            return MoveMemory<T>(in instruction, op);
        }

        return instruction.Op1Kind == OpKind.Register ? &MoveHandlers.RegisterRegister<T> : &MoveHandlers.RegisterImmediate<T>;
    }

    private static Handler MoveMemory<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T> => Path(op) switch
        {
            MemoryPath.Direct => MoveMemory<T, DirectPath>(in instruction),
            MemoryPath.Based => MoveMemory<T, BasedPath>(in instruction),
            _ => MoveMemory<T, GeneralPath>(in instruction),
        };

    private static Handler MoveMemory<T, TPath>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath =>
        instruction.Op0Kind == OpKind.Register ? &MoveHandlers.RegisterMemory<T, TPath>
        : instruction.Op1Kind == OpKind.Register ? &MoveHandlers.MemoryRegister<T, TPath> : &MoveHandlers.MemoryImmediate<T, TPath>;

    private static Handler ZeroExtend(in Instruction instruction, Operation* op) =>
        OperandSize(in instruction, 1) == 1 ? Extend<byte>(in instruction, op) : Extend<ushort>(in instruction, op);

    private static Handler SignExtend(in Instruction instruction, Operation* op) => OperandSize(in instruction, 1) switch
    {
        1 => Extend<sbyte>(in instruction, op),
        2 => Extend<short>(in instruction, op),
        _ => Extend<int>(in instruction, op),
    };

    private static Handler Extend<TFrom>(in Instruction instruction, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom> => OperandSize(in instruction, 0) switch
        {
            2 => Extend<TFrom, ushort>(in instruction, op),
            4 => Extend<TFrom, uint>(in instruction, op),
            _ => Extend<TFrom, ulong>(in instruction, op),
        };

    private static Handler Extend<TFrom, TTo>(in Instruction instruction, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo> =>
        instruction.Op1Kind == OpKind.Register ? &MoveHandlers.ExtendRegister<TFrom, TTo> : Path(op) switch
        {
            MemoryPath.Direct => &MoveHandlers.ExtendMemory<TFrom, TTo, DirectPath>,
            MemoryPath.Based => &MoveHandlers.ExtendMemory<TFrom, TTo, BasedPath>,
            _ => &MoveHandlers.ExtendMemory<TFrom, TTo, GeneralPath>,
        };

    private static Handler LoadAddress(in Instruction instruction, Operation* op) => instruction.Op0Register.GetSize() switch
    {
        2 => &MoveHandlers.LoadEffectiveAddress<ushort>,
        4 => &MoveHandlers.LoadEffectiveAddress<uint>,
        _ => (op->Flags & (OperationFlags.Address16 | OperationFlags.Address32)) == 0
            ? &MoveHandlers.LoadEffectiveAddress64
            : &MoveHandlers.LoadEffectiveAddress<ulong>,
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

    private static Handler Push(in Instruction instruction, Operation* op) => instruction.StackPointerIncrement switch
    {
        -2 => Push<ushort>(in instruction),
        -4 => Push<uint>(in instruction),
        // An operand of 64 bits goes with a stack pointer of 64 bits.
        _ => instruction.Op0Kind switch
        {
            OpKind.Register when instruction.Op0Register.IsGPR() => &StackHandlers.PushRegisterDirect<ulong>,
            OpKind.Register or OpKind.Memory => Push<ulong>(in instruction),
            _ => &StackHandlers.PushImmediateDirect<ulong>,
        },
    };

    private static Handler Push<T>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T> => instruction.Op0Kind switch
        {
            OpKind.Register when instruction.Op0Register.IsSegmentRegister() => &StackHandlers.PushSelector<T>,
            OpKind.Register => &StackHandlers.PushRegister<T>,
            OpKind.Memory => &StackHandlers.PushMemory<T>,
            _ => &StackHandlers.PushImmediate<T>,
        };

    private static Handler Pop(in Instruction instruction, Operation* op)
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
            _ => register ? &StackHandlers.PopRegisterDirect<ulong> : &StackHandlers.PopMemory<ulong>,
        };
    }

    private static Handler Exchange(in Instruction instruction, Operation* op) => OperandSize(in instruction, 0) switch
    {
        1 => Exchange<byte>(in instruction, op),
        2 => Exchange<ushort>(in instruction, op),
        4 => Exchange<uint>(in instruction, op),
        _ => Exchange<ulong>(in instruction, op),
    };

    private static Handler Exchange<T>(in Instruction instruction, Operation* op)
        where T : unmanaged =>
        instruction.Op0Kind == OpKind.Register && instruction.Op1Kind == OpKind.Register
            ? &ExchangeHandlers.RegisterRegister<T>
            : Path(op) switch
        {
            MemoryPath.Direct => &ExchangeHandlers.MemoryRegister<T, DirectPath>,
            MemoryPath.Based => &ExchangeHandlers.MemoryRegister<T, BasedPath>,
            _ => &ExchangeHandlers.MemoryRegister<T, GeneralPath>,
        };

    private static Handler ExchangeAdd(in Instruction instruction, Operation* op) => OperandSize(in instruction, 0) switch
    {
        1 => ExchangeAdd<byte>(in instruction, op),
        2 => ExchangeAdd<ushort>(in instruction, op),
        4 => ExchangeAdd<uint>(in instruction, op),
        _ => ExchangeAdd<ulong>(in instruction, op),
    };

    private static Handler ExchangeAdd<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        instruction.Op0Kind == OpKind.Register ? &ExchangeHandlers.AddRegister<T> : Path(op) switch
        {
            MemoryPath.Direct => &ExchangeHandlers.AddMemory<T, DirectPath>,
            MemoryPath.Based => &ExchangeHandlers.AddMemory<T, BasedPath>,
            _ => &ExchangeHandlers.AddMemory<T, GeneralPath>,
        };

    private static Handler CompareExchange(in Instruction instruction, Operation* op) => OperandSize(in instruction, 0) switch
    {
        1 => CompareExchange<byte>(in instruction, op),
        2 => CompareExchange<ushort>(in instruction, op),
        4 => CompareExchange<uint>(in instruction, op),
        _ => CompareExchange<ulong>(in instruction, op),
    };

    private static Handler CompareExchange<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        instruction.Op0Kind == OpKind.Register ? &ExchangeHandlers.CompareRegister<T> : Path(op) switch
        {
            MemoryPath.Direct => &ExchangeHandlers.CompareMemory<T, DirectPath>,
            MemoryPath.Based => &ExchangeHandlers.CompareMemory<T, BasedPath>,
            _ => &ExchangeHandlers.CompareMemory<T, GeneralPath>,
        };

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
                repeat
                    ? &StringHandlers<MoveString<T, TAddress>, TAddress>.Repeat
                    : &StringHandlers<MoveString<T, TAddress>, TAddress>.Once,
            Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq =>
                repeat
                    ? &StringHandlers<StoreString<T, TAddress>, TAddress>.Repeat
                    : &StringHandlers<StoreString<T, TAddress>, TAddress>.Once,
            Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq =>
                repeat
                    ? &StringHandlers<LoadString<T, TAddress>, TAddress>.Repeat
                    : &StringHandlers<LoadString<T, TAddress>, TAddress>.Once,
            Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq =>
                repeat
                    ? &StringHandlers<ScanString<T, TAddress>, TAddress>.Repeat
                    : &StringHandlers<ScanString<T, TAddress>, TAddress>.Once,
            Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq =>
                repeat
                    ? &StringHandlers<CompareStrings<T, TAddress>, TAddress>.Repeat
                    : &StringHandlers<CompareStrings<T, TAddress>, TAddress>.Once,
            _ => null,
        };
    }
}
