using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>
/// CMP or TEST together with the conditional branch behind it, in 64-bit mode: the handler of the comparison takes the branch as well. The
/// branch stays where it is, for the block's links and for whoever gets to it otherwise. <typeparamref name="TOperation"/> is
/// <see cref="Subtract"/> or <see cref="And"/>.
/// </summary>
internal static unsafe class FusedBranches<TOperation, T, TCondition>
    where TOperation : struct, IBinaryOperation
    where T : unmanaged, IBinaryInteger<T>
    where TCondition : struct, IFusedCondition
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* RegisterRegister(CpuContext* cpu, Operation* op) =>
        Finish(cpu, op, RegisterFile.Read<T>(cpu, op->Reg0), RegisterFile.Read<T>(cpu, op->Reg1));

    [MethodImpl(Once)]
    public static Operation* RegisterImmediate(CpuContext* cpu, Operation* op) =>
        Finish(cpu, op, RegisterFile.Read<T>(cpu, op->Reg0), OperandBits.Narrow<T>(op->Immediate));

    [MethodImpl(Once)]
    public static Operation* RegisterMemory(CpuContext* cpu, Operation* op) =>
        DirectPath.TryRead(cpu, op, out T right)
            ? Finish(cpu, op, RegisterFile.Read<T>(cpu, op->Reg0), right)
            : CompareHandlers.RegisterMemory<TOperation, T, GeneralPath>(cpu, op);

    [MethodImpl(Once)]
    public static Operation* MemoryRegister(CpuContext* cpu, Operation* op) =>
        DirectPath.TryRead(cpu, op, out T left)
            ? Finish(cpu, op, left, RegisterFile.Read<T>(cpu, op->Reg0))
            : CompareHandlers.MemoryRegister<TOperation, T, GeneralPath>(cpu, op);

    [MethodImpl(Once)]
    public static Operation* MemoryImmediate(CpuContext* cpu, Operation* op) =>
        DirectPath.TryRead(cpu, op, out T left)
            ? Finish(cpu, op, left, OperandBits.Narrow<T>(op->Immediate))
            : CompareHandlers.MemoryImmediate<TOperation, T, GeneralPath>(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Finish(CpuContext* cpu, Operation* op, T left, T right)
    {
        T result = TOperation.Apply(cpu, left, right);
        bool taken = typeof(TOperation) == typeof(And) ? TCondition.OfTest(result) : TCondition.OfCompare(left, right);
        return DirectBranches.Go(cpu, op + 1, taken);
    }
}
