using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>Loading CR3: which tables translate, and what is kept of what the last ones said (SDM Vol. 3A §4.10.4, §4.4.1).</summary>
internal static unsafe class AddressSpace
{
    /// <summary>Bit 63 of a value for CR3: translations of its PCID are kept.</summary>
    private const ulong NoFlush = 1UL << 63;

    /// <summary>False: #GP is recorded and nothing has changed.</summary>
    public static bool TryLoad(CpuContext* cpu, ulong value)
    {
        ref var state = ref cpu->State;
        bool pcids = (state.Cr4 & Cr4.Pcide) != 0;
        bool keep = pcids && (value & NoFlush) != 0;
        if (pcids)
        {
            value &= ~NoFlush;
        }

        bool longMode = (state.Efer & Efer.Lma) != 0;
        if ((longMode && value >> GuestMemory.AddressBits != 0)
            || (!longMode && (state.Cr0 & Cr0.Pg) != 0 && (state.Cr4 & Cr4.Pae) != 0 && !TryLoadPdptes(cpu, value)))
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        state.Cr3 = value;
        Tlb.Of(cpu).SwitchTo(cpu, pcids ? (uint)value & 0xfff : 0, keep);
        return true;
    }

    /// <summary>
    /// Reads the four page-directory-pointer entries of PAE paging; false if one has reserved bits set (SDM Vol. 3A §4.4.1).
    /// </summary>
    public static bool TryLoadPdptes(CpuContext* cpu, ulong cr3)
    {
        const ulong Reserved = 0x1e6 | (ulong.MaxValue << GuestMemory.AddressBits);
        var memory = CpuEnvironment.Of(cpu).Memory;
        ulong* entries = stackalloc ulong[4];
        for (int i = 0; i < 4; i++)
        {
            var cell = memory.Resolve(new((cr3 & 0xffff_ffe0) + ((ulong)i * 8)));
            entries[i] = cell.Kind == BackingKind.Bus ? ulong.MaxValue : Volatile.Read(ref *(ulong*)SystemMemory.Host(cpu, cell.Address));
            if ((entries[i] & 1) != 0 && (entries[i] & Reserved) != 0)
            {
                return false;
            }
        }

        for (int i = 0; i < 4; i++)
        {
            cpu->State.Pdpte[i] = entries[i];
        }

        return true;
    }
}
