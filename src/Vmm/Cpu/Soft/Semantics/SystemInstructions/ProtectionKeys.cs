using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>RDPKRU, WRPKRU and IA32_PKRS (SDM Vol. 3A §4.6.2). Translations are cached with the rights of their keys, so a change drops them.</summary>
internal static unsafe class ProtectionKeys
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* Read(CpuContext* cpu, Operation* op)
    {
        if (!TryCheck(cpu, written: false))
        {
            return Faults.Faulted(cpu, op);
        }

        cpu->State.Gpr[0] = (uint)cpu->State.Xsave.Pkru;
        cpu->State.Gpr[2] = 0;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* Write(CpuContext* cpu, Operation* op)
    {
        if (!TryCheck(cpu, written: true))
        {
            return Faults.Faulted(cpu, op);
        }

        SetUser(cpu, (uint)cpu->State.Gpr[0]);
        return op + 1;
    }

    /// <summary>Sets PKRU.</summary>
    public static void SetUser(CpuContext* cpu, uint value)
    {
        if (cpu->State.Xsave.Pkru != value)
        {
            cpu->State.Xsave.Pkru = value;
            SoftVcpu.Of(cpu).Tlb.FlushAll(cpu);
        }
    }

    public static bool TrySetSupervisor(CpuContext* cpu, ulong value)
    {
        if (value >> 32 != 0)
        {
            return false;
        }

        if (cpu->State.Msr.Pkrs != value)
        {
            cpu->State.Msr.Pkrs = value;
            SoftVcpu.Of(cpu).Tlb.FlushAll(cpu);
        }

        return true;
    }

    private static bool TryCheck(CpuContext* cpu, bool written)
    {
        bool enabled = (cpu->State.Cr4 & Cr4.Pke) != 0;
        if (enabled && (uint)cpu->State.Gpr[1] == 0 && (!written || (uint)cpu->State.Gpr[2] == 0))
        {
            return true;
        }

        Faults.Record(cpu, enabled ? ExceptionVector.GeneralProtection : ExceptionVector.InvalidOpcode);
        return false;
    }
}
