using System.Numerics;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Branches;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

using unsafe Handler = delegate*<CpuContext*, Operation*, Operation*>;

/// <summary>Operand forms of a comparison that a branch may be fused with.</summary>
internal enum ComparisonForm : byte
{
    RegisterRegister,
    RegisterImmediate,
    RegisterMemory,
    MemoryRegister,
    MemoryImmediate,
}

/// <summary>
/// Fuses a conditional branch of 64-bit mode with the comparison decoded just before it. See
/// <see cref="FusedBranches{TOperation, T, TCondition}"/>.
/// </summary>
internal static unsafe class BranchFusion
{
    private const int FormBits = 7;
    private const int SizeShift = 3;
    private const byte TestBit = 1 << 6;

    /// <summary>Marks a comparison that may be fused; it has no third register operand.</summary>
    public static void Mark<TOperation, T>(Operation* op, ComparisonForm form)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged
    {
        op->Flags |= OperationFlags.Comparison;
        op->Reg2 = (byte)((byte)form | (BitOperations.Log2((uint)sizeof(T)) << SizeShift)
            | (typeof(TOperation) == typeof(And) ? TestBit : 0));
    }

    /// <summary>
    /// Gives the operation before <paramref name="branch"/> a handler that does both, if it is a comparison in the same block.
    /// </summary>
    public static void TryFuse(Operation* branch, ConditionCode condition)
    {
        if (branch->Offset == 0 || (branch[-1].Flags & OperationFlags.Comparison) == 0)
        {
            return;
        }

        var comparison = branch - 1;
        bool test = (comparison->Reg2 & TestBit) != 0;
        int size = 1 << ((comparison->Reg2 >> SizeShift) & 3);
        var form = (ComparisonForm)(comparison->Reg2 & FormBits);
        Handler fused = size switch
        {
            1 => test ? Fuse<And, byte>(form, condition) : Fuse<Subtract, byte>(form, condition),
            2 => test ? Fuse<And, ushort>(form, condition) : Fuse<Subtract, ushort>(form, condition),
            4 => test ? Fuse<And, uint>(form, condition) : Fuse<Subtract, uint>(form, condition),
            _ => test ? Fuse<And, ulong>(form, condition) : Fuse<Subtract, ulong>(form, condition),
        };
        if (fused != null)
        {
            comparison->Handler = fused;
        }
    }

    private static Handler Fuse<TOperation, T>(ComparisonForm form, ConditionCode condition)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T> => condition switch
        {
            ConditionCode.e => Fuse<TOperation, T, Equal>(form),
            ConditionCode.ne => Fuse<TOperation, T, Opposite<Equal>>(form),
            ConditionCode.b => Fuse<TOperation, T, Below>(form),
            ConditionCode.ae => Fuse<TOperation, T, Opposite<Below>>(form),
            ConditionCode.be => Fuse<TOperation, T, BelowOrEqual>(form),
            ConditionCode.a => Fuse<TOperation, T, Opposite<BelowOrEqual>>(form),
            ConditionCode.s => Fuse<TOperation, T, Sign>(form),
            ConditionCode.ns => Fuse<TOperation, T, Opposite<Sign>>(form),
            ConditionCode.l => Fuse<TOperation, T, Less>(form),
            ConditionCode.ge => Fuse<TOperation, T, Opposite<Less>>(form),
            ConditionCode.le => Fuse<TOperation, T, LessOrEqual>(form),
            ConditionCode.g => Fuse<TOperation, T, Opposite<LessOrEqual>>(form),
            _ => null,
        };

    private static Handler Fuse<TOperation, T, TCondition>(ComparisonForm form)
        where TOperation : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        where TCondition : struct, IFusedCondition => form switch
        {
            ComparisonForm.RegisterRegister => &FusedBranches<TOperation, T, TCondition>.RegisterRegister,
            ComparisonForm.RegisterImmediate => &FusedBranches<TOperation, T, TCondition>.RegisterImmediate,
            ComparisonForm.RegisterMemory => &FusedBranches<TOperation, T, TCondition>.RegisterMemory,
            ComparisonForm.MemoryRegister => &FusedBranches<TOperation, T, TCondition>.MemoryRegister,
            _ => &FusedBranches<TOperation, T, TCondition>.MemoryImmediate,
        };
}
