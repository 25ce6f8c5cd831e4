using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>RDPKRU and WRPKRU (SDM Vol. 3A §4.6.2).</summary>
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

        ProtectionKeyRights.SetUser(cpu, (uint)cpu->State.Gpr[0]);
        return op + 1;
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
