using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Floating-point forms under the guest's MXCSR. The host executes with every exception masked, so that it can never trap; which
/// flags are new then tells whether the guest should have trapped (SDM Vol. 1 §11.5).
/// </summary>
internal static unsafe class SimdFault
{
    private const uint Flags = 0x3f;
    private const uint AllMasked = 0x1f80;
    private const int MaskShift = 7;

    /// <summary>Rounding control, flush to zero, denormals are zero.</summary>
    private const uint Modes = 0xe040;

    private const uint FlushToZero = 0x8000;
    private const uint Underflow = 1 << 4;

    /// <summary>IE, DE and ZE are detected before the result is computed; unmasked, they leave the other three flags alone.</summary>
    private const uint Precomputation = 7;

    /// <summary>Calls the stub. False: the guest takes an exception, its registers are untouched and MXCSR has the flags.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryCall(CpuContext* cpu, VectorForm* form, byte* operand0, byte* operand1, byte* operand2, byte* operand3)
    {
        VectorScratch* scratch = &cpu->Vector;
        uint mxcsr = cpu->State.Xsave.Mxcsr;
        scratch->HostMxcsr = AllMasked;
        if (!AllMaskedBy(mxcsr))
        {
            return TryCallUnmasked(cpu, form, operand0, operand1, operand2, operand3);
        }

        scratch->GuestMxcsr = (mxcsr & Modes) | AllMasked;
        form->Stub(operand0, operand1, operand2, operand3, scratch, cpu);
        cpu->State.Xsave.Mxcsr = mxcsr | (scratch->ResultMxcsr & Flags);
        return true;
    }

    /// <summary>Whether no exception can be raised under that MXCSR.</summary>
    public static bool AllMaskedBy(uint mxcsr) => (mxcsr & AllMasked) == AllMasked;

    /// <summary>#XM, or #UD when the guest's system does not know it (CR4.OSXMMEXCPT).</summary>
    public static Operation* Raise(CpuContext* cpu, Operation* op) =>
        Faults.Raise(
            cpu,
            op,
            (cpu->State.Cr4 & Cr4.Osxmmexcpt) != 0 ? ExceptionVector.SimdFault : ExceptionVector.InvalidOpcode);

    private static bool TryCallUnmasked(CpuContext* cpu, VectorForm* form, byte* operand0, byte* operand1, byte* operand2, byte* operand3)
    {
        VectorScratch* scratch = &cpu->Vector;
        uint mxcsr = cpu->State.Xsave.Mxcsr;
        bool underflowTraps = (mxcsr & (Underflow << MaskShift)) == 0;

        // Flushing needs a masked underflow (SDM Vol. 1 §10.2.3.3).
        scratch->GuestMxcsr = (mxcsr & (underflowTraps ? Modes & ~FlushToZero : Modes)) | AllMasked;
        bool high = (form->Flags & VectorFormFlags.VectorDestination) != 0;
        int size = high ? 16 : (form->Flags & VectorFormFlags.Store) != 0 ? 0 : 8;
        Buffer.MemoryCopy(operand0, scratch->Undo, 64, size);
        if (high)
        {
            Buffer.MemoryCopy(operand0 + VectorRegisters.HighHalf, scratch->Undo + 16, 48, 16);
        }

        form->Stub(operand0, operand1, operand2, operand3, scratch, cpu);
        uint raised = scratch->ResultMxcsr & Flags;
        if (underflowTraps && HasTinyResult(form, operand0))
        {
            // A masked underflow is flagged only when the result is inexact too, an unmasked one always (SDM Vol. 1 §4.9.1.5).
            raised |= Underflow;
        }

        uint unmasked = raised & ~(mxcsr >> MaskShift);
        if (unmasked == 0)
        {
            cpu->State.Xsave.Mxcsr = mxcsr | raised;
            return true;
        }

        cpu->State.Xsave.Mxcsr = mxcsr | ((unmasked & Precomputation) != 0 ? raised & Precomputation : raised);
        Buffer.MemoryCopy(scratch->Undo, operand0, 64, size);
        if (high)
        {
            Buffer.MemoryCopy(scratch->Undo + 16, operand0 + VectorRegisters.HighHalf, 16, 16);
        }

        return false;
    }

    private static bool HasTinyResult(VectorForm* form, byte* destination)
    {
        for (int i = 0; i < form->ResultElements; i++)
        {
            int offset = i * form->ResultElementBytes;
            byte* element = offset < 16 ? destination + offset : destination + VectorRegisters.HighHalf + offset - 16;
            bool tiny = form->ResultElementBytes switch
            {
                2 => Half.IsSubnormal(*(Half*)element),
                4 => float.IsSubnormal(*(float*)element),
                _ => double.IsSubnormal(*(double*)element),
            };
            if (tiny)
            {
                return true;
            }
        }

        return false;
    }
}
