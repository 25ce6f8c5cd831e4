using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>The registers that tell where a guest went wrong, in a line.</summary>
internal static unsafe class CpuStateText
{
    public static string Of(CpuState* state) =>
        $"rip={state->Segments[SegmentIndex.Cs].Selector:x4}:{state->Rip:x} rflags={state->Rflags:x} rsp={state->Gpr[4]:x} "
        + $"cr0={state->Cr0:x} cr2={state->Cr2:x} cr3={state->Cr3:x} cr4={state->Cr4:x} efer={state->Efer:x} "
        + $"idt={state->Idtr.Base:x}/{state->Idtr.Limit:x}";
}
