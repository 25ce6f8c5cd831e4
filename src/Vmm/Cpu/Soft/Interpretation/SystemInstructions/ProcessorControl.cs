using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.SystemInstructions;

/// <summary>HLT and its neighbours.</summary>
internal static unsafe class ProcessorControl
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Halt(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        Faults.Leave(cpu, op);
        cpu->Outcome = Outcome.Halt;
        return null;
    }
}
