using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// What a string instruction does with one element, or with many at once. Whatever gives false has recorded an exception.
/// </summary>
internal unsafe interface IStringStep
{
    static abstract bool TryOne(CpuContext* cpu, Operation* op);

    /// <summary>As many elements as can be taken at once, upwards and within a page; 0: only single ones will do.</summary>
    static abstract bool TryRun(CpuContext* cpu, Operation* op, out ulong elements);

    /// <summary>Whether the last element ends the repetition.</summary>
    static abstract bool Ends(CpuContext* cpu, Operation* op);
}

/// <summary>
/// String instructions, alone and repeated. Registers are exact after every element, so a fault or an interrupt can come between any two.
/// </summary>
internal static unsafe class StringHandlers<TStep, TAddress>
    where TStep : struct, IStringStep
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Once(CpuContext* cpu, Operation* op) =>
        TStep.TryOne(cpu, op) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Repeat(CpuContext* cpu, Operation* op)
    {
        while (StringRegisters<TAddress>.Count(cpu) != 0)
        {
            if (!TStep.TryRun(cpu, op, out ulong elements))
            {
                return Faults.Faulted(cpu, op);
            }

            if (elements == 0)
            {
                if (!TStep.TryOne(cpu, op))
                {
                    return Faults.Faulted(cpu, op);
                }

                elements = 1;
            }

            StringRegisters<TAddress>.CountDown(cpu, elements);
            if (TStep.Ends(cpu, op))
            {
                break;
            }

            if (StringRegisters<TAddress>.MustPause(cpu) && StringRegisters<TAddress>.Count(cpu) != 0)
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return Dispatch.Next(cpu, op);
    }
}

/// <summary>The repeat prefix of a comparison.</summary>
internal static unsafe class RepeatedString
{
    /// <summary>REPE goes on while elements are equal, REPNE while they are not.</summary>
    public static bool WhileEqual(Operation* op) => (op->Flags & OperationFlags.Repne) == 0;
}
