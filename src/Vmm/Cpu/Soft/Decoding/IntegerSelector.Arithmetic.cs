using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

using unsafe Handler = delegate*<CpuContext*, Operation*, Operation*>;

/// <content>Arithmetic, logic, shifts, multiplication and division.</content>
internal static unsafe partial class IntegerSelector
{
    private static Handler Binary<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation => OperandSize(in instruction, 0) switch
        {
            1 => Binary<TOperation, byte>(in instruction, op),
            2 => Binary<TOperation, ushort>(in instruction, op),
            4 => Binary<TOperation, uint>(in instruction, op),
            _ => Binary<TOperation, ulong>(in instruction, op),
        };

    private static Handler Binary<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (instruction.Op0Kind == OpKind.Memory || instruction.Op1Kind == OpKind.Memory)
        {
            return Path(op) switch
            {
                MemoryPath.Direct => BinaryMemory<TOperation, T, DirectPath>(in instruction, op),
                MemoryPath.Based => BinaryMemory<TOperation, T, BasedPath>(in instruction, op),
                _ => BinaryMemory<TOperation, T, GeneralPath>(in instruction, op),
            };
        }

        bool register = instruction.Op1Kind == OpKind.Register;
        if (!register)
        {
            return &BinaryHandlers.RegisterImmediate<TOperation, T>;
        }

        bool clears = typeof(TOperation) == typeof(Xor) || typeof(TOperation) == typeof(Subtract);
        return clears && op->Reg0 == op->Reg1 ? &BinaryHandlers.Clear<T> : &BinaryHandlers.RegisterRegister<TOperation, T>;
    }

    private static Handler BinaryMemory<TOperation, T, TPath>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (instruction.Op0Kind == OpKind.Register)
        {
            return &BinaryHandlers.RegisterMemory<TOperation, T, TPath>;
        }

        bool register = instruction.Op1Kind == OpKind.Register;
        return Locked(op)
            ? register
                ? &BinaryHandlers.LockedMemoryRegister<TOperation, T, TPath>
                : &BinaryHandlers.LockedMemoryImmediate<TOperation, T, TPath>
            : register ? &BinaryHandlers.MemoryRegister<TOperation, T, TPath> : &BinaryHandlers.MemoryImmediate<TOperation, T, TPath>;
    }

    private static Handler Compare<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation => OperandSize(in instruction, 0) switch
        {
            1 => Compare<TOperation, byte>(in instruction, op),
            2 => Compare<TOperation, ushort>(in instruction, op),
            4 => Compare<TOperation, uint>(in instruction, op),
            _ => Compare<TOperation, ulong>(in instruction, op),
        };

    private static Handler Compare<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        bool immediate = instruction.Op1Kind is not (OpKind.Register or OpKind.Memory);
        bool fusible = typeof(TOperation) == typeof(Subtract) || typeof(TOperation) == typeof(And);
        if (instruction.Op0Kind == OpKind.Memory || instruction.Op1Kind == OpKind.Memory)
        {
            if (fusible && Path(op) == MemoryPath.Direct)
            {
                BranchFusion.Mark<TOperation, T>(
                    op,
                    immediate ? ComparisonForm.MemoryImmediate
                    : instruction.Op0Kind == OpKind.Memory ? ComparisonForm.MemoryRegister : ComparisonForm.RegisterMemory);
            }

            return Path(op) switch
            {
                MemoryPath.Direct => CompareMemory<TOperation, T, DirectPath>(in instruction),
                MemoryPath.Based => CompareMemory<TOperation, T, BasedPath>(in instruction),
                _ => CompareMemory<TOperation, T, GeneralPath>(in instruction),
            };
        }

        if (fusible)
        {
            BranchFusion.Mark<TOperation, T>(op, immediate ? ComparisonForm.RegisterImmediate : ComparisonForm.RegisterRegister);
        }

        if (immediate)
        {
            return &CompareHandlers.RegisterImmediate<TOperation, T>;
        }

        return typeof(TOperation) == typeof(And) && instruction.Op0Register == instruction.Op1Register
            ? &CompareHandlers.TestSelf<T>
            : &CompareHandlers.RegisterRegister<TOperation, T>;
    }

    private static Handler CompareMemory<TOperation, T, TPath>(in Instruction instruction)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath =>
        instruction.Op0Kind == OpKind.Register ? &CompareHandlers.RegisterMemory<TOperation, T, TPath>
        : instruction.Op1Kind == OpKind.Register ? &CompareHandlers.MemoryRegister<TOperation, T, TPath>
        : &CompareHandlers.MemoryImmediate<TOperation, T, TPath>;

    private static Handler Unary<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IUnaryOperation => OperandSize(in instruction, 0) switch
        {
            1 => Unary<TOperation, byte>(in instruction, op),
            2 => Unary<TOperation, ushort>(in instruction, op),
            4 => Unary<TOperation, uint>(in instruction, op),
            _ => Unary<TOperation, ulong>(in instruction, op),
        };

    private static Handler Unary<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T> =>
        instruction.Op0Kind == OpKind.Register ? &UnaryHandlers.Register<TOperation, T> : Path(op) switch
        {
            MemoryPath.Direct => UnaryMemory<TOperation, T, DirectPath>(op),
            MemoryPath.Based => UnaryMemory<TOperation, T, BasedPath>(op),
            _ => UnaryMemory<TOperation, T, GeneralPath>(op),
        };

    private static Handler UnaryMemory<TOperation, T, TPath>(Operation* op)
        where TOperation : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath =>
        Locked(op) ? &UnaryHandlers.LockedMemory<TOperation, T, TPath> : &UnaryHandlers.Memory<TOperation, T, TPath>;

    private static Handler Shift<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IShiftOperation => OperandSize(in instruction, 0) switch
        {
            1 => Shift<TOperation, byte>(in instruction, op),
            2 => Shift<TOperation, ushort>(in instruction, op),
            4 => Shift<TOperation, uint>(in instruction, op),
            _ => Shift<TOperation, ulong>(in instruction, op),
        };

    private static Handler Shift<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        if (instruction.Op1Kind == OpKind.Register)
        {
            return register ? &ShiftHandlers.RegisterCl<TOperation, T> : &ShiftHandlers.MemoryCl<TOperation, T>;
        }

        op->Immediate &= sizeof(T) == 8 ? 63u : 31u;
        if (op->Immediate == 0)
        {
            return register ? &ShiftHandlers.RegisterByZero<T> : &ShiftHandlers.MemoryByZero<T>;
        }

        if (register)
        {
            return &BinaryHandlers.RegisterImmediate<ByCount<TOperation>, T>;
        }

        return Path(op) == MemoryPath.Direct
            ? &BinaryHandlers.MemoryImmediate<ByCount<TOperation>, T, DirectPath>
            : &BinaryHandlers.MemoryImmediate<ByCount<TOperation>, T, GeneralPath>;
    }

    private static Handler DoubleShift<TOperation>(in Instruction instruction, Operation* op)
        where TOperation : struct, IDoubleShiftOperation => OperandSize(in instruction, 0) switch
        {
            2 => DoubleShift<TOperation, ushort>(in instruction, op),
            4 => DoubleShift<TOperation, uint>(in instruction, op),
            _ => DoubleShift<TOperation, ulong>(in instruction, op),
        };

    private static Handler DoubleShift<TOperation, T>(in Instruction instruction, Operation* op)
        where TOperation : struct, IDoubleShiftOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        if (instruction.Op2Kind == OpKind.Register)
        {
            return register ? &DoubleShiftHandlers.RegisterCl<TOperation, T> : &DoubleShiftHandlers.MemoryCl<TOperation, T>;
        }

        op->Immediate &= sizeof(T) == 8 ? 63u : 31u;
        return register ? &DoubleShiftHandlers.RegisterImmediate<TOperation, T> : &DoubleShiftHandlers.MemoryImmediate<TOperation, T>;
    }

    private static Handler MultiplyUnsigned(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &MultiplyHandlers.UnsignedRegister<byte> : &MultiplyHandlers.UnsignedMemory<byte>,
            2 => register ? &MultiplyHandlers.UnsignedRegister<ushort> : &MultiplyHandlers.UnsignedMemory<ushort>,
            4 => register ? &MultiplyHandlers.UnsignedRegister<uint> : &MultiplyHandlers.UnsignedMemory<uint>,
            _ => register ? &MultiplyHandlers.UnsignedRegister<ulong> : &MultiplyHandlers.UnsignedMemory<ulong>,
        };
    }

    private static Handler MultiplySigned(in Instruction instruction) => OperandSize(in instruction, 0) switch
    {
        1 => MultiplySigned<byte>(in instruction),
        2 => MultiplySigned<ushort>(in instruction),
        4 => MultiplySigned<uint>(in instruction),
        _ => MultiplySigned<ulong>(in instruction),
    };

    private static Handler MultiplySigned<T>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (instruction.OpCount == 1)
        {
            return instruction.Op0Kind == OpKind.Register ? &MultiplyHandlers.SignedRegister<T> : &MultiplyHandlers.SignedMemory<T>;
        }

        bool register = instruction.Op1Kind == OpKind.Register;
        return instruction.OpCount == 2
            ? register ? &MultiplyHandlers.RegisterRegister<T> : &MultiplyHandlers.RegisterMemory<T>
            : register ? &MultiplyHandlers.RegisterRegisterImmediate<T> : &MultiplyHandlers.RegisterMemoryImmediate<T>;
    }

    private static Handler MultiplyFlagless(in Instruction instruction)
    {
        bool register = instruction.Op2Kind == OpKind.Register;
        return OperandSize(in instruction, 0) == 8
            ? register ? &MultiplyHandlers.FlaglessRegister<ulong> : &MultiplyHandlers.FlaglessMemory<ulong>
            : register ? &MultiplyHandlers.FlaglessRegister<uint> : &MultiplyHandlers.FlaglessMemory<uint>;
    }

    private static Handler DivideUnsigned(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &DivideHandlers.UnsignedRegister<byte> : &DivideHandlers.UnsignedMemory<byte>,
            2 => register ? &DivideHandlers.UnsignedRegister<ushort> : &DivideHandlers.UnsignedMemory<ushort>,
            4 => register ? &DivideHandlers.UnsignedRegister<uint> : &DivideHandlers.UnsignedMemory<uint>,
            _ => register ? &DivideHandlers.UnsignedRegister<ulong> : &DivideHandlers.UnsignedMemory<ulong>,
        };
    }

    private static Handler DivideSigned(in Instruction instruction)
    {
        bool register = instruction.Op0Kind == OpKind.Register;
        return OperandSize(in instruction, 0) switch
        {
            1 => register ? &DivideHandlers.SignedRegister<byte> : &DivideHandlers.SignedMemory<byte>,
            2 => register ? &DivideHandlers.SignedRegister<ushort> : &DivideHandlers.SignedMemory<ushort>,
            4 => register ? &DivideHandlers.SignedRegister<uint> : &DivideHandlers.SignedMemory<uint>,
            _ => register ? &DivideHandlers.SignedRegister<ulong> : &DivideHandlers.SignedMemory<ulong>,
        };
    }
}
