using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>One of the conditions of Jcc, SETcc and CMOVcc (SDM Vol. 1, appendix B).</summary>
internal unsafe interface ICondition
{
    static abstract bool Holds(CpuContext* cpu);
}

/// <summary>The opposite of a condition: the odd encodings.</summary>
internal readonly unsafe struct Unless<TCondition> : ICondition
    where TCondition : struct, ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => !TCondition.Holds(cpu);
}

/// <summary>O.</summary>
internal readonly unsafe struct IfOverflow : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Overflow(cpu);
}

/// <summary>B, C, NAE.</summary>
internal readonly unsafe struct IfBelow : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Carry(cpu);
}

/// <summary>E, Z.</summary>
internal readonly unsafe struct IfEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Zero(cpu);
}

/// <summary>BE, NA.</summary>
internal readonly unsafe struct IfBelowOrEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Carry(cpu) || LazyFlags.Zero(cpu);
}

/// <summary>S.</summary>
internal readonly unsafe struct IfSign : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Sign(cpu);
}

/// <summary>P, PE.</summary>
internal readonly unsafe struct IfParity : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Parity(cpu);
}

/// <summary>L, NGE: sign differs from overflow, in one expression over the top bits.</summary>
internal readonly unsafe struct IfLess : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) =>
        (long)(cpu->FlagCarries ^ (cpu->FlagCarries << 1) ^ cpu->FlagSignParity) < 0;
}

/// <summary>LE, NG.</summary>
internal readonly unsafe struct IfLessOrEqual : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(CpuContext* cpu) => LazyFlags.Zero(cpu) || IfLess.Holds(cpu);
}
