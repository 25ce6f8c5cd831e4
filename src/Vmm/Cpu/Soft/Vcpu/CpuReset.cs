using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <summary>The state after power-on, INIT and SIPI (SDM Vol. 3A §9.1.1, table 9-1).</summary>
internal static unsafe class CpuReset
{
    private const SegmentAttributes RealModeData =
        SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.WritableOrReadable | SegmentAttributes.Accessed;

    private const SegmentAttributes RealModeCode = RealModeData | SegmentAttributes.Code;

    /// <summary>Power-on and system reset.</summary>
    public static void PowerOn(CpuState* state, bool bootProcessor, CpuVendor vendor = CpuVendor.Intel)
    {
        *state = default;
        Common(state, bootProcessor, vendor);
        state->Cr0 = Cr0.Cd | Cr0.Nw | Cr0.Et;
        state->Xsave.ControlWord = 0x40;
        state->Xsave.Mxcsr = 0x1f80;
        state->Xsave.MxcsrMask = 0xffff;
        state->Xcr0 = 1;
        state->Msr.ApicBase = Interrupts.LocalApic.DefaultBase | Interrupts.LocalApic.BaseEnable
            | (bootProcessor ? Interrupts.LocalApic.BaseBootstrapProcessor : 0);
        state->Msr.Pat = 0x0007_0406_0007_0406;
        state->Msr.MiscEnable = 1;
        state->Msr.MtrrDefaultType = 0;
    }

    /// <summary>
    /// INIT leaves caches, MSRs and the x87 and vector state alone; the boot processor starts again, others wait for SIPI.
    /// </summary>
    public static void Init(CpuContext* cpu, bool bootProcessor)
    {
        var state = &cpu->State;
        ulong cr0 = (state->Cr0 & (Cr0.Cd | Cr0.Nw)) | Cr0.Et;
        var kept = *state;
        *state = default;
        Common(state, bootProcessor, cpu->Vendor);
        state->Cr0 = cr0;
        state->Msr = kept.Msr;
        state->Xsave = kept.Xsave;
        state->Xcr0 = kept.Xcr0;
        // A start-up message that came before this INIT was acted on is for the processor that it leaves behind.
        state->PendingSipi = kept.PendingSipi;
    }

    /// <summary>SIPI: real mode at <paramref name="vector"/> &lt;&lt; 12.</summary>
    public static void StartUp(CpuState* state, byte vector)
    {
        ref var cs = ref state->Segments[SegmentIndex.Cs];
        cs.Selector = (ushort)(vector << 8);
        cs.Base = (ulong)vector << 12;
        state->Rip = 0;
        state->Activity = VcpuActivity.Active;
    }

    private static void Common(CpuState* state, bool bootProcessor, CpuVendor vendor)
    {
        state->Rflags = RflagsBits.Always;
        state->Rip = 0xfff0;
        state->Gpr[2] = CpuidIdentity.Signature(vendor);
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            state->Segments[segment] = new SegmentRegister { Limit = 0xffff, Attributes = RealModeData };
        }

        state->Segments[SegmentIndex.Cs] = new SegmentRegister
        {
            Selector = 0xf000, Base = 0xffff_0000, Limit = 0xffff, Attributes = RealModeCode,
        };
        state->Segments[SegmentIndex.Ldtr] = new SegmentRegister { Limit = 0xffff, Attributes = SegmentAttributes.Present
            | (SegmentAttributes)2 };
        state->Segments[SegmentIndex.Tr] = new SegmentRegister { Limit = 0xffff, Attributes = SegmentAttributes.Present
            | (SegmentAttributes)11 };
        state->Gdtr.Limit = 0xffff;
        state->Idtr.Limit = 0xffff;
        state->Dr[6] = 0xffff_0ff0;
        state->Dr[7] = 0x400;
        state->Activity = bootProcessor ? VcpuActivity.Active : VcpuActivity.WaitForSipi;
    }
}
