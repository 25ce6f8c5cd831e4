using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;

namespace WebVm.Vmm.Cpu.Soft.Interpretation;

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
