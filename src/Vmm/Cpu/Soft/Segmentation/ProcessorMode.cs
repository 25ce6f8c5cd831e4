using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>What the context keeps of the mode, so that nobody has to work it out for each instruction.</summary>
internal static unsafe class ProcessorMode
{
    /// <summary>
    /// Recomputes what derives from segment registers, CR0, CR4, EFER, RFLAGS and DR7. To be called after any of them changed.
    /// </summary>
    public static void Update(CpuContext* cpu)
    {
        ref var state = ref cpu->State;
        var cs = Segments.Register(cpu, SegmentIndex.Cs);
        var ss = Segments.Register(cpu, SegmentIndex.Ss);
        bool isProtected = (state.Cr0 & Cr0.Pe) != 0;
        bool virtual8086 = isProtected && (state.Rflags & RflagsBits.Vm) != 0;
        bool longMode = (state.Efer & Efer.Lma) != 0;
        bool code64 = longMode && (cs->Attributes & SegmentAttributes.Long) != 0 && !virtual8086;
        cpu->Cpl = (byte)(!isProtected ? 0 : virtual8086 ? 3 : ((uint)ss->Attributes >> 5) & 3);
        byte bitness = (byte)(code64 ? 64 : isProtected && !virtual8086 && (cs->Attributes & SegmentAttributes.Default32) != 0 ? 32 : 16);
        byte stackBits = (byte)(code64 ? 64 : (ss->Attributes & SegmentAttributes.Default32) != 0 && !virtual8086 ? 32 : 16);
        bool flatCode = code64 || (cs->Base == 0 && cs->Limit == uint.MaxValue);
        bool flatData = code64 || (bitness == 32 && Segments.IsFlat(ss) && Segments.IsFlat(Segments.Register(cpu, SegmentIndex.Ds))
            && Segments.IsFlat(Segments.Register(cpu, SegmentIndex.Es)));
        var mode = new DecodeMode(bitness, stackBits, flatData, isProtected && !virtual8086, flatCode);
        cpu->Mode = mode.Key;
        cpu->CodeBase = code64 ? 0 : cs->Base;
        cpu->DataBreakpoints = (byte)(DebugRegisters.HasData(cpu) ? 1 : 0);
        cpu->CodeBreakpoints = (byte)(DebugRegisters.HasCode(cpu) ? 1 : 0);
        Tlb.Of(cpu).SelectPrivilege(cpu);
    }
}
