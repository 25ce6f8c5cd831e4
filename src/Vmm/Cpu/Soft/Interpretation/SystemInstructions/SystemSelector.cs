using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Decoding;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.SystemInstructions;

/// <summary>Chooses the handlers of system instructions: privileged ones and those that read or change what decoding depends on.</summary>
internal static unsafe class SystemSelector
{
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        switch (instruction.Code)
        {
            case Code.Hlt:
                operation->Flags |= OperationFlags.Last;
                operation->Handler = &ProcessorControl.Halt;
                return true;
            default:
                return false;
        }
    }
}
