using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics;

/// <summary>How a handler hands over to the instruction after its own.</summary>
internal static unsafe class Dispatch
{
    /// <summary>
    /// Calls it, which the JIT compiles to a jump: each handler then has an indirect jump of its own to be predicted, and
    /// the loop runs once per block. A block ends with a handler that returns, so nothing runs away.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Next(CpuContext* cpu, Operation* op) => op[1].Handler(cpu, op + 1);
}
