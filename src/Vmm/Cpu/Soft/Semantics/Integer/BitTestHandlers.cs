using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// BT, BTS, BTR, BTC with the bit's number in a register. For a memory operand it is signed and reaches beyond the operand
/// (SDM Vol. 2A, BT). Immediate numbers become masks when decoded, for <see cref="CompareHandlers"/> and <see cref="BinaryHandlers"/>.
/// </summary>
internal static unsafe class BitTestHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* TestRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        BitTest.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), Mask(RegisterFile.Read<T>(cpu, op->Reg1)));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* TestMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T number = RegisterFile.Read<T>(cpu, op->Reg0);
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, Offset(cpu, op, number), out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        BitTest.Apply(cpu, value, Mask(number));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ChangeRegister<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T mask = Mask(RegisterFile.Read<T>(cpu, op->Reg1));
        RegisterFile.Write(cpu, op->Reg0, TOperation.Apply(cpu, RegisterFile.Read<T>(cpu, op->Reg0), mask));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ChangeMemory<TOperation, T>(CpuContext* cpu, Operation* op)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T number = RegisterFile.Read<T>(cpu, op->Reg0);
        if (!GuestAccess.TryBeginUpdateAt(cpu, op, (SegmentIndex)op->Segment, Offset(cpu, op, number), out T* host))
        {
            return Faults.Faulted(cpu, op);
        }

        T mask = Mask(number);
        if ((op->Flags & OperationFlags.Lock) != 0)
        {
            Atomics.Update<TOperation, T>(cpu, host, mask);
        }
        else
        {
            *host = TOperation.Apply(cpu, *host, mask);
        }

        GuestAccess.EndUpdate(cpu, op, host);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Mask<T>(T number)
        where T : unmanaged, IBinaryInteger<T> => T.One << (int.CreateTruncating(number) & ((sizeof(T) * 8) - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Offset<T>(CpuContext* cpu, Operation* op, T number)
        where T : unmanaged, IBinaryInteger<T>
    {
        long units = SignedValue.Of(number) >> BitOperations.Log2((uint)(sizeof(T) * 8));
        ulong address = GuestAccess.EffectiveAddress(cpu, op) + (ulong)(units * sizeof(T));
        return (op->Flags & OperationFlags.Address16) != 0 ? (ushort)address
            : (op->Flags & OperationFlags.Address32) != 0 ? (uint)address : address;
    }
}
