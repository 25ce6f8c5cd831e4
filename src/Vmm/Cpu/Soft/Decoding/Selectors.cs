using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Asks every instruction family in turn for the handler of an instruction.</summary>
internal static unsafe class Selectors
{
    /// <summary>Sets <see cref="Operation.Handler"/>; the operands are filled in already. False: no such instruction here (#UD).</summary>
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* operation) =>
        IntegerSelector.TrySelect(in instruction, in mode, operation)
        || BranchSelector.TrySelect(in instruction, in mode, operation)
        || SystemSelector.TrySelect(in instruction, in mode, operation)
        || VectorSelector.TrySelect(in instruction, in mode, operation);
}
