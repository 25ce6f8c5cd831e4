using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>RDMSR, WRMSR, RDTSC, RDTSCP (SDM Vol. 4).</summary>
internal static unsafe class ModelSpecificRegisterAccess
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    /// <summary>HWCR.TscFreqSel.</summary>
    private const ulong TscRunsAtP0 = 1 << 24;

    /// <summary>
    /// HWCR bits that systems write and that have no effect here: those of caches, floating-point errors and machine checks.
    /// </summary>
    private const ulong HardwareConfigurationKnown = TscRunsAtP0 | (1 << 3) | (1 << 6) | (1 << 8) | (1 << 18) | (1 << 30);

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
        if (CpuEnvironment.Of(cpu).Profile.LacksMsr(msr))
        {
            return false;
        }

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
            case Msr.Pkrs: value = registers.Pkrs; return true;
            case Msr.Xss: value = registers.Xss; return true;
            case Msr.SpecCtrl: value = registers.SpecCtrl; return true;
            case Msr.ArchCapabilities: value = CpuidPolicy.ArchCapabilities; return true;
            case Msr.MtrrCap: value = Mtrrs.Capabilities; return true;

            // Locked with nothing enabled.
            case Msr.FeatureControl: value = 1; return true;

            // Microcode revision 1: in the upper half on Intel's processors, in the lower on AMD's.
            case Msr.BiosSignature: value = cpu->Vendor == CpuVendor.Amd ? 1 : 1UL << 32; return true;

            // The time stamp counter runs at the frequency of P0.
            case Msr.HardwareConfiguration: value = TscRunsAtP0; return true;

            // LFENCE serializes.
            case Msr.DecodeConfiguration: value = 1 << 1; return true;
            case Msr.SystemConfiguration or Msr.NorthbridgeConfiguration or Msr.InterruptPendingMessage: return true;
            case Msr.PlatformId or Msr.MachineCheckCapabilities or Msr.MachineCheckStatus or Msr.DebugControl or Msr.SmiCount: return true;
            case LocalApic.MsrApicBase or LocalApic.MsrTscDeadline:
            case >= LocalApic.MsrX2Apic and <= LocalApic.MsrX2ApicLast:
                return CpuEnvironment.Of(cpu).Apic is { } apic && apic.TryReadMsr(msr, out value);
            default: return Mtrrs.TryRead(cpu, msr, out value) || KvmRegisters.TryRead(cpu, msr, out value);
        }
    }

    public static bool TryWrite(CpuContext* cpu, uint msr, ulong value)
    {
        ref var registers = ref cpu->State.Msr;
        if (CpuEnvironment.Of(cpu).Profile.LacksMsr(msr))
        {
            return false;
        }

        switch (msr)
        {
            case Msr.TimeStampCounter:
                AdvanceTimeStamp(cpu, value - TimeStampCounter.Read(cpu));
                return true;
            case Msr.TscAdjust:
                AdvanceTimeStamp(cpu, value - registers.TscAdjust);
                return true;
            case Msr.Efer: return TrySetEfer(cpu, value);
            case Msr.Star: registers.Star = value; return true;
            case Msr.Sfmask: registers.Sfmask = (uint)value; return true;
            case Msr.Lstar: return TrySetAddress(cpu, ref registers.Lstar, value);
            case Msr.Cstar: return TrySetAddress(cpu, ref registers.Cstar, value);
            case Msr.KernelGsBase: return TrySetAddress(cpu, ref registers.KernelGsBase, value);
            case Msr.SysenterEsp: return TrySetEntry(cpu, ref registers.SysenterEsp, value);
            case Msr.SysenterEip: return TrySetEntry(cpu, ref registers.SysenterEip, value);
            case Msr.FsBase: return TrySetAddress(cpu, ref Segments.Register(cpu, SegmentIndex.Fs)->Base, value);
            case Msr.GsBase: return TrySetAddress(cpu, ref Segments.Register(cpu, SegmentIndex.Gs)->Base, value);
            case Msr.SysenterCs: registers.SysenterCs = (uint)value; return true;
            case Msr.TscAux: return TrySetNarrow(cpu, ref registers.TscAux, value);
            case Msr.Pat: return TrySetPat(cpu, value);
            case Msr.MiscEnable: registers.MiscEnable = value; return true;
            case Msr.Pkrs: return ProtectionKeyRights.TrySetSupervisor(cpu, value);
            case Msr.Xss: return value == 0;
            case Msr.SpecCtrl:
                return TrySetSpeculation(ref registers, value);
            case Msr.PredictionCommand or Msr.FlushCommand: return (value & ~1UL) == 0;
            case Msr.BiosSignature or Msr.MachineCheckStatus or Msr.DebugControl: return true;
            case Msr.HardwareConfiguration: return (value & ~HardwareConfigurationKnown) == 0;
            case Msr.SystemConfiguration or Msr.DecodeConfiguration or Msr.InterruptPendingMessage or Msr.NorthbridgeConfiguration:
                return true;
            case LocalApic.MsrApicBase or LocalApic.MsrTscDeadline:
            case >= LocalApic.MsrX2Apic and <= LocalApic.MsrX2ApicLast:
                return TryWriteApic(cpu, msr, value);
            default: return Mtrrs.TryWrite(cpu, msr, value) || KvmRegisters.TryWrite(cpu, msr, value);
        }
    }

    private static bool TryWriteApic(CpuContext* cpu, uint msr, ulong value)
    {
        var environment = CpuEnvironment.Of(cpu);
        if (msr == LocalApic.MsrApicBase && (value & LocalApic.BaseX2ApicEnable) != 0 && !environment.Profile.Has("x2apic"))
        {
            return false;
        }

        if (environment.Apic is not { } apic || !apic.TryWriteMsr(msr, value))
        {
            return false;
        }

        if (msr == LocalApic.MsrApicBase)
        {
            // The page may have moved over memory, or away from it.
            Tlb.Of(cpu).FlushAll(cpu);
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

    /// <summary>Moves the counter by a difference, and IA32_TSC_ADJUST along with it by exactly the same (SDM Vol. 3B §17.17.3).</summary>
    private static void AdvanceTimeStamp(CpuContext* cpu, ulong difference)
    {
        cpu->State.Msr.TscAdjust += difference;
        cpu->State.Msr.TscOffset += difference;
        CpuEnvironment.Of(cpu).Apic?.TscAdjusted();
        KvmRegisters.UpdateClock(cpu);
    }

    /// <summary>Intel's processors refuse bits that do not exist; AMD's ignore them.</summary>
    private static bool TrySetNarrow(CpuContext* cpu, ref ulong register, ulong value)
    {
        if (value >> 32 != 0 && cpu->Vendor == CpuVendor.Intel)
        {
            return false;
        }

        register = (uint)value;
        return true;
    }

    /// <summary>SYSENTER's addresses, of which AMD's processors keep 32 bits, as they have no SYSENTER in long mode.</summary>
    private static bool TrySetEntry(CpuContext* cpu, ref ulong register, ulong value)
    {
        if (cpu->Vendor == CpuVendor.Intel)
        {
            return TrySetAddress(cpu, ref register, value);
        }

        register = (uint)value;
        return true;
    }

    private static bool TrySetEfer(CpuContext* cpu, ulong value)
    {
        ulong changed = value ^ cpu->State.Efer;
        if ((value & ~CpuEnvironment.Of(cpu).Profile.Efer) != 0 || ((changed & Efer.Lme) != 0 && (cpu->State.Cr0 & Cr0.Pg) != 0))
        {
            return false;
        }

        // LMA is read-only.
        cpu->State.Efer = (value & ~Efer.Lma) | (cpu->State.Efer & Efer.Lma);
        if ((changed & Efer.Nxe) != 0)
        {
            Tlb.Of(cpu).FlushAll(cpu);
        }

        ProcessorMode.Update(cpu);
        return true;
    }

    private static bool TrySetAddress(CpuContext* cpu, ref ulong register, ulong value)
    {
        if (!SlowAccess.IsCanonicalHere(cpu, value))
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
