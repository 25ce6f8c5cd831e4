using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>A two-operand function of whole XMM registers.</summary>
internal interface IVectorFunction
{
    static abstract Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right);
}

internal readonly struct VectorXor : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => left ^ right;
}

internal readonly struct VectorAnd : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => left & right;
}

internal readonly struct VectorAndNot : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => ~left & right;
}

internal readonly struct VectorOr : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => left | right;
}

internal readonly struct VectorEqualBytes : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => Vector128.Equals(left, right);
}

internal readonly struct VectorMinimumBytes : IVectorFunction
{
    public static Vector128<byte> Apply(Vector128<byte> left, Vector128<byte> right) => Vector128.Min(left, right);
}

/// <summary>Frequent legacy-encoded logic without a stub: the inner loops of string functions.</summary>
internal static unsafe class DirectLogic
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Registers<TFunction>(CpuContext* cpu, Operation* op)
        where TFunction : struct, IVectorFunction
    {
        if (!SseAccess.IsAllowed(cpu))
        {
            return SseAccess.Refuse(cpu, op);
        }

        var destination = (Vector128<byte>*)VectorRegisters.Pointer(cpu, op->Reg0);
        *destination = TFunction.Apply(*destination, *(Vector128<byte>*)VectorRegisters.Pointer(cpu, op->Reg1));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Memory<TFunction>(CpuContext* cpu, Operation* op)
        where TFunction : struct, IVectorFunction
    {
        if (!SseAccess.IsAllowed(cpu))
        {
            return SseAccess.Refuse(cpu, op);
        }

        if (!GuestAccess.TryReadAligned(cpu, op, out Vector128<byte> right))
        {
            return Faults.Faulted(cpu, op);
        }

        var destination = (Vector128<byte>*)VectorRegisters.Pointer(cpu, op->Reg0);
        *destination = TFunction.Apply(*destination, right);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>PMOVMSKB.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SignMask(CpuContext* cpu, Operation* op)
    {
        if (!SseAccess.IsAllowed(cpu))
        {
            return SseAccess.Refuse(cpu, op);
        }

        var source = *(Vector128<byte>*)VectorRegisters.Pointer(cpu, op->Reg1);
        *(ulong*)VectorRegisters.Pointer(cpu, op->Reg0) = source.ExtractMostSignificantBits();
        return Dispatch.Next(cpu, op);
    }
}
