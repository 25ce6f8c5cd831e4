using WebVm.Vmm.Cpu.Soft.Context;



namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>
/// Setting PKRU and IA32_PKRS (SDM Vol. 3A §4.6.2). Translations are cached with the rights of their keys, so a change drops them.
/// </summary>
internal static unsafe class ProtectionKeyRights
{
    /// <summary>Sets PKRU.</summary>
    public static void SetUser(CpuContext* cpu, uint value)
    {
        if (cpu->State.Xsave.Pkru != value)
        {
            cpu->State.Xsave.Pkru = value;
            Tlb.Of(cpu).FlushAll(cpu);
        }
    }

    /// <summary>Sets IA32_PKRS; false for a value that it cannot have.</summary>
    public static bool TrySetSupervisor(CpuContext* cpu, ulong value)
    {
        if (value >> 32 != 0)
        {
            return false;
        }

        if (cpu->State.Msr.Pkrs != value)
        {
            cpu->State.Msr.Pkrs = value;
            Tlb.Of(cpu).FlushAll(cpu);
        }

        return true;
    }
}
