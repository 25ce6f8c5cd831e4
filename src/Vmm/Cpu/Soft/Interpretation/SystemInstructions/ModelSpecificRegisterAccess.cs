using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;
using WebVm.Vmm.Cpu.Soft.Paravirtualization;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.SystemInstructions;

/// <summary>RDMSR, WRMSR, RDTSC, RDTSCP (SDM Vol. 4).</summary>
internal static unsafe class ModelSpecificRegisterAccess
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Read(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0 || !TryRead(cpu, (uint)cpu->State.Gpr[1], out ulong value))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        cpu->State.Gpr[0] = (uint)value;
        cpu->State.Gpr[2] = value >> 32;
        return op + 1;
    }

    /// <summary>Ends its block, as some registers change modes or make interrupts pending.</summary>
    [MethodImpl(Once)]
    public static Operation* Write(CpuContext* cpu, Operation* op)
    {
        ulong value = (uint)cpu->State.Gpr[0] | (cpu->State.Gpr[2] << 32);
        return cpu->Cpl == 0 && TryWrite(cpu, (uint)cpu->State.Gpr[1], value)
            ? Faults.Leave(cpu, op)
            : Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
    }

    [MethodImpl(Once)]
    public static Operation* ReadTimeStamp(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0 && (cpu->State.Cr4 & Cr4.Tsd) != 0 && (cpu->State.Cr0 & Cr0.Pe) != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong value = TimeStampCounter.Read(cpu);
        cpu->State.Gpr[0] = (uint)value;
        cpu->State.Gpr[2] = value >> 32;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* ReadTimeStampAndProcessor(CpuContext* cpu, Operation* op)
    {
        var next = ReadTimeStamp(cpu, op);
        if (next != null)
        {
            cpu->State.Gpr[1] = (uint)cpu->State.Msr.TscAux;
        }

        return next;
    }

    public static bool TryRead(CpuContext* cpu, uint msr, out ulong value)
    {
        ref var registers = ref cpu->State.Msr;
        value = 0;
        switch (msr)
        {
            case Msr.TimeStampCounter: value = TimeStampCounter.Read(cpu); return true;
            case Msr.Efer: value = cpu->State.Efer; return true;
            case Msr.Star: value = registers.Star; return true;
            case Msr.Lstar: value = registers.Lstar; return true;
            case Msr.Cstar: value = registers.Cstar; return true;
            case Msr.Sfmask: value = registers.Sfmask; return true;
            case Msr.FsBase: value = Segments.Register(cpu, SegmentIndex.Fs)->Base; return true;
            case Msr.GsBase: value = Segments.Register(cpu, SegmentIndex.Gs)->Base; return true;
            case Msr.KernelGsBase: value = registers.KernelGsBase; return true;
            case Msr.TscAux: value = registers.TscAux; return true;
            case Msr.TscAdjust: value = registers.TscAdjust; return true;
            case Msr.SysenterCs: value = registers.SysenterCs; return true;
            case Msr.SysenterEsp: value = registers.SysenterEsp; return true;
            case Msr.SysenterEip: value = registers.SysenterEip; return true;
            case Msr.Pat: value = registers.Pat; return true;
            case Msr.MiscEnable: value = registers.MiscEnable; return true;
            case Msr.Xss: value = registers.Xss; return true;
            case Msr.SpecCtrl: value = registers.SpecCtrl; return true;
            case Msr.ArchCapabilities: value = CpuidPolicy.ArchCapabilities; return true;
            case Msr.MtrrCap: value = Mtrrs.Capabilities; return true;

            // Locked with nothing enabled.
            case Msr.FeatureControl: value = 1; return true;

            // Microcode revision 1.
            case Msr.BiosSignature: value = 1UL << 32; return true;
            case Msr.PlatformId or Msr.MachineCheckCapabilities or Msr.MachineCheckStatus or Msr.DebugControl or Msr.SmiCount: return true;
            case LocalApic.MsrApicBase or LocalApic.MsrTscDeadline:
            case >= LocalApic.MsrX2Apic and <= LocalApic.MsrX2ApicLast:
                return SoftVcpu.Of(cpu).Apic is { } apic && apic.TryReadMsr(msr, out value);
            default: return Mtrrs.TryRead(cpu, msr, out value) || KvmRegisters.TryRead(cpu, msr, out value);
        }
    }

    public static bool TryWrite(CpuContext* cpu, uint msr, ulong value)
    {
        ref var registers = ref cpu->State.Msr;
        switch (msr)
        {
            case Msr.TimeStampCounter:
                SetTimeStamp(cpu, value);
                return true;
            case Msr.TscAdjust:
                SetTimeStamp(cpu, TimeStampCounter.Read(cpu) + (value - registers.TscAdjust));
                return true;
            case Msr.Efer: return TrySetEfer(cpu, value);
            case Msr.Star: registers.Star = value; return true;
            case Msr.Sfmask: registers.Sfmask = (uint)value; return true;
            case Msr.Lstar: return TrySetAddress(cpu, ref registers.Lstar, value);
            case Msr.Cstar: return TrySetAddress(cpu, ref registers.Cstar, value);
            case Msr.KernelGsBase: return TrySetAddress(cpu, ref registers.KernelGsBase, value);
            case Msr.SysenterEsp: return TrySetAddress(cpu, ref registers.SysenterEsp, value);
            case Msr.SysenterEip: return TrySetAddress(cpu, ref registers.SysenterEip, value);
            case Msr.FsBase: return TrySetAddress(cpu, ref Segments.Register(cpu, SegmentIndex.Fs)->Base, value);
            case Msr.GsBase: return TrySetAddress(cpu, ref Segments.Register(cpu, SegmentIndex.Gs)->Base, value);
            case Msr.SysenterCs: registers.SysenterCs = (uint)value; return true;
            case Msr.TscAux: registers.TscAux = (uint)value; return true;
            case Msr.Pat: return TrySetPat(cpu, value);
            case Msr.MiscEnable: registers.MiscEnable = value; return true;
            case Msr.Xss: return value == 0;
            case Msr.SpecCtrl:
                return TrySetSpeculation(ref registers, value);
            case Msr.PredictionCommand or Msr.FlushCommand: return (value & ~1UL) == 0;
            case Msr.BiosSignature or Msr.MachineCheckStatus or Msr.DebugControl: return true;
            case LocalApic.MsrApicBase or LocalApic.MsrTscDeadline:
            case >= LocalApic.MsrX2Apic and <= LocalApic.MsrX2ApicLast:
                return TryWriteApic(cpu, msr, value);
            default: return Mtrrs.TryWrite(cpu, msr, value) || KvmRegisters.TryWrite(cpu, msr, value);
        }
    }

    private static bool TryWriteApic(CpuContext* cpu, uint msr, ulong value)
    {
        var vcpu = SoftVcpu.Of(cpu);
        if (vcpu.Apic is not { } apic || !apic.TryWriteMsr(msr, value))
        {
            return false;
        }

        if (msr == LocalApic.MsrApicBase)
        {
            // The page may have moved over memory, or away from it.
            vcpu.Tlb.FlushAll(cpu);
        }

        return true;
    }

    /// <summary>IBRS, STIBP, SSBD, BHI_DIS_S: kept, without effect.</summary>
    private static bool TrySetSpeculation(ref ModelSpecificRegisters registers, ulong value)
    {
        const ulong Known = 1 | 2 | 4 | (1 << 10);
        if ((value & ~Known) != 0)
        {
            return false;
        }

        registers.SpecCtrl = value;
        return true;
    }

    private static void SetTimeStamp(CpuContext* cpu, ulong value)
    {
        cpu->State.Msr.TscAdjust += value - TimeStampCounter.Read(cpu);
        TimeStampCounter.Write(cpu, value);
        SoftVcpu.Of(cpu).Apic?.TscAdjusted();
        KvmRegisters.UpdateClock(cpu);
    }

    private static bool TrySetEfer(CpuContext* cpu, ulong value)
    {
        const ulong Known = Efer.Sce | Efer.Lme | Efer.Lma | Efer.Nxe;
        ulong changed = value ^ cpu->State.Efer;
        if ((value & ~Known) != 0 || ((changed & Efer.Lme) != 0 && (cpu->State.Cr0 & Cr0.Pg) != 0))
        {
            return false;
        }

        // LMA is read-only.
        cpu->State.Efer = (value & ~Efer.Lma) | (cpu->State.Efer & Efer.Lma);
        var vcpu = SoftVcpu.Of(cpu);
        if ((changed & Efer.Nxe) != 0)
        {
            vcpu.Tlb.FlushAll(cpu);
        }

        vcpu.ModeChanged();
        return true;
    }

    private static bool TrySetAddress(CpuContext* cpu, ref ulong register, ulong value)
    {
        // Whatever the mode: 64-bit addresses, canonical for the widest paging in force (SDM Vol. 2B, WRMSR).
        int shift = (cpu->State.Cr4 & Cr4.La57) != 0 ? 7 : 16;
        if ((ulong)((long)(value << shift) >> shift) != value)
        {
            return false;
        }

        register = value;
        return true;
    }

    private static bool TrySetPat(CpuContext* cpu, ulong value)
    {
        for (int i = 0; i < 64; i += 8)
        {
            if (((value >> i) & 0xff) is 2 or 3 or > 7)
            {
                return false;
            }
        }

        cpu->State.Msr.Pat = value;
        return true;
    }
}
