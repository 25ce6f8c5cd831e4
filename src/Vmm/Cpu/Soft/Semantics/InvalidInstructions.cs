using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics;

/// <summary>What is not an instruction.</summary>
internal static unsafe class InvalidInstructions
{
    /// <summary>#UD: no such instruction, or not in this mode.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Undefined(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);

    /// <summary>#GP: more than 15 bytes (SDM Vol. 2A §2.3.11).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* TooLong(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
}
