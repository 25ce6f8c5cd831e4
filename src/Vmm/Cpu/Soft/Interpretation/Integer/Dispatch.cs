using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

/// <summary>How a handler hands over to the instruction after its own.</summary>
internal static unsafe class Dispatch
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Next(CpuContext* cpu, Operation* op) => op + 1;
}
