using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

internal enum AccessKind
{
    Read,
    Write,
    Fetch,
}

/// <summary>Page-fault error code (SDM Vol. 3A §4.7).</summary>
internal static class PageFaultCode
{
    public const uint Present = 1 << 0;
    public const uint Write = 1 << 1;
    public const uint User = 1 << 2;
    public const uint Reserved = 1 << 3;
    public const uint Fetch = 1 << 4;
    public const uint ProtectionKey = 1 << 5;
}

/// <summary>What a walk of the guest's paging structures found.</summary>
internal struct Translation
{
    public GuestPhysicalAddress Physical;
    public bool Readable;

    /// <summary>Writable without further ado: permitted, and the dirty bit is set.</summary>
    public bool Writable;
    public bool Executable;
    public int PageShift;

    /// <summary>Error code, when the walk failed.</summary>
    public uint ErrorCode;
}

/// <summary>
/// Translates by the guest's own tables: none, 32-bit, PAE, 4-level and 5-level paging (SDM Vol. 3A chapter 4). Accessed and dirty bits
/// are set by compare-exchange, as other processors and the guest's software may change the entries at the same time.
/// </summary>
internal static unsafe class PageWalk
{
    private const ulong Present = 1 << 0;
    private const ulong Writable = 1 << 1;
    private const ulong User = 1 << 2;
    private const ulong Accessed = 1 << 5;
    private const ulong Dirty = 1 << 6;
    private const ulong Large = 1 << 7;
    private const ulong NoExecute = 1UL << 63;
    private const ulong AddressMask = (GuestMemory.AddressSpaceSize - 1) & ~0xfffUL;

    /// <summary>Bits 51:MAXPHYADDR, reserved in every 8-byte entry.</summary>
    private const ulong BeyondPhysical = 0x000f_ffff_ffff_ffff & ~(GuestMemory.AddressSpaceSize - 1);

    /// <returns>False for a page fault, with the error code in the translation.</returns>
    public static bool TryWalk(
        CpuContext* cpu, GuestMemory memory, GuestVirtualAddress linear, AccessKind access, Privilege privilege, out Translation result)
    {
        result = default;
        ulong cr0 = cpu->State.Cr0;
        if ((cr0 & Cr0.Pg) == 0)
        {
            result.Physical = new((uint)linear.Value);
            result.Readable = result.Writable = result.Executable = true;
            result.PageShift = 12;
            return true;
        }

        ulong cr4 = cpu->State.Cr4;
        bool noExecuteEnabled = (cpu->State.Efer & Efer.Nxe) != 0;
        bool user = privilege == Privilege.User;
        uint code = (access == AccessKind.Write ? PageFaultCode.Write : 0) | (user ? PageFaultCode.User : 0);
        bool pae = (cr4 & Cr4.Pae) != 0;
        if (access == AccessKind.Fetch && ((pae && noExecuteEnabled) || (cr4 & Cr4.Smep) != 0))
        {
            code |= PageFaultCode.Fetch;
        }

        byte** cells = stackalloc byte*[5];
        ulong* values = stackalloc ulong[5];

        while (true)
        {
            int depth = 0;
            ulong rights = Writable | User;
            ulong noExecute = 0;
            ulong table;
            int shift;
            int entrySize = 8;
            int indexBits = 9;
            bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
            if (longMode)
            {
                table = cpu->State.Cr3 & AddressMask;
                shift = (cr4 & Cr4.La57) != 0 ? 48 : 39;
            }
            else if (pae)
            {
                ulong pdpte = cpu->State.Pdpte[(linear.Value >> 30) & 3];
                if ((pdpte & Present) == 0)
                {
                    result.ErrorCode = code;
                    return false;
                }

                table = pdpte & AddressMask;
                shift = 21;
            }
            else
            {
                table = cpu->State.Cr3 & 0xffff_f000;
                shift = 22;
                entrySize = 4;
                indexBits = 10;
            }

            ulong value;
            ulong physical;
            while (true)
            {
                var backing = memory.Resolve(new(table + (((linear.Value >> shift) & ((1UL << indexBits) - 1)) * (uint)entrySize)));
                byte* cell = memory.Host(backing.Address);
                value = backing.Kind == BackingKind.Bus
                    ? ulong.MaxValue
                    : entrySize == 8 ? Volatile.Read(ref *(ulong*)cell) : Volatile.Read(ref *(uint*)cell);
                if ((value & Present) == 0)
                {
                    result.ErrorCode = code;
                    return false;
                }

                bool leaf = shift == 12
                    || ((value & Large) != 0 && (entrySize == 8 ? shift <= 30 : (cr4 & Cr4.Pse) != 0));
                if (HasReservedBits(value, shift, leaf, entrySize, longMode, noExecuteEnabled)
                    || (leaf && shift == 30 && !CpuEnvironment.Of(cpu).Profile.HasGigabytePages))
                {
                    result.ErrorCode = code | PageFaultCode.Present | PageFaultCode.Reserved;
                    return false;
                }

                rights &= value;
                noExecute |= entrySize == 8 ? value & NoExecute : 0;
                cells[depth] = backing.Kind == BackingKind.Memory ? cell : null;
                values[depth] = value;
                depth++;
                if (leaf)
                {
                    physical = LeafAddress(value, shift, entrySize) | (linear.Value & ((1UL << shift) - 1));
                    break;
                }

                table = entrySize == 8 ? value & AddressMask : value & 0xffff_f000;
                shift -= indexBits;
            }

            bool userPage = (rights & User) != 0;
            bool readable = user ? userPage : !userPage || privilege == Privilege.SupervisorOpen;
            bool writable = readable && ((rights & Writable) != 0 || (!user && (cr0 & Cr0.Wp) == 0));
            var (keyReads, keyWrites) = longMode ? KeyRights(cpu, values[depth - 1], user, userPage) : (true, true);
            if (access != AccessKind.Fetch && !(access == AccessKind.Write ? keyWrites : keyReads))
            {
                code |= PageFaultCode.ProtectionKey;
            }

            readable &= keyReads;
            writable &= keyWrites;
            bool executable = noExecute == 0 && (user ? userPage : !userPage || (cr4 & Cr4.Smep) == 0);
            bool permitted = access switch { AccessKind.Read => readable, AccessKind.Write => writable, _ => executable };
            if (!permitted)
            {
                result.ErrorCode = code | PageFaultCode.Present;
                return false;
            }

            if (!TrySetAccessed(cpu, memory, cells, values, depth, entrySize, access == AccessKind.Write))
            {
                continue;
            }

            result.Physical = new(physical & (GuestMemory.AddressSpaceSize - 1));
            result.Readable = readable;
            result.Writable = writable && (access == AccessKind.Write || (values[depth - 1] & Dirty) != 0);
            result.Executable = executable;
            result.PageShift = shift;
            return true;
        }
    }

    /// <summary>
    /// What the protection key of a page allows data accesses (SDM Vol. 3A §4.6.2): by PKRU to user pages, whoever accesses them, and by
    /// IA32_PKRS to supervisor pages. That writes are disabled binds supervisors by CR0.WP.
    /// </summary>
    private static (bool Reads, bool Writes) KeyRights(CpuContext* cpu, ulong leaf, bool user, bool userPage)
    {
        if ((cpu->State.Cr4 & (userPage ? Cr4.Pke : Cr4.Pks)) == 0)
        {
            return (true, true);
        }

        int key = (int)(leaf >> 59) & 0xf;
        ulong rights = (userPage ? cpu->State.Xsave.Pkru : cpu->State.Msr.Pkrs) >> (key * 2);
        bool accessible = (rights & 1) == 0;
        bool bound = user || (cpu->State.Cr0 & Cr0.Wp) != 0;
        return (accessible, accessible && !((rights & 2) != 0 && bound));
    }

    private static ulong LeafAddress(ulong value, int shift, int entrySize)
    {
        if (entrySize == 8)
        {
            return value & AddressMask & ~((1UL << shift) - 1);
        }

        // A 4 MiB page has bits 39:32 of its address in bits 20:13 (PSE-36).
        return shift == 12 ? value & 0xffff_f000 : (value & 0xffc0_0000) | (((value >> 13) & 0xff) << 32);
    }

    private static bool HasReservedBits(ulong value, int shift, bool leaf, int entrySize, bool longMode, bool noExecuteEnabled)
    {
        if (entrySize == 4)
        {
            return leaf && shift == 22 && (value & (1 << 21)) != 0;
        }

        ulong reserved = BeyondPhysical;
        if (!noExecuteEnabled)
        {
            reserved |= NoExecute;
        }

        if (!longMode)
        {
            reserved |= 0x7ff0_0000_0000_0000;
        }

        if (shift > 30)
        {
            reserved |= Large;
        }
        else if (leaf && shift > 12)
        {
            // Bit 12 is PAT.
            reserved |= ((1UL << shift) - 1) & ~0x1fffUL;
        }

        return (value & reserved) != 0;
    }

    /// <param name="cells">Where the entries are; null where stores have no effect.</param>
    /// <returns>False if an entry changed meanwhile: walk again.</returns>
    private static bool TrySetAccessed(
        CpuContext* cpu, GuestMemory memory, byte** cells, ulong* values, int depth, int entrySize, bool write)
    {
        for (int i = 0; i < depth; i++)
        {
            ulong wanted = values[i] | Accessed | (write && i == depth - 1 ? Dirty : 0);
            byte* cell = cells[i];
            if (wanted == values[i] || cell == null)
            {
                continue;
            }

            bool same = entrySize == 8
                ? Interlocked.CompareExchange(ref *(ulong*)cell, wanted, values[i]) == values[i]
                : Interlocked.CompareExchange(ref *(uint*)cell, (uint)wanted, (uint)values[i]) == (uint)values[i];
            if (!same)
            {
                return false;
            }

            values[i] = wanted;
            if (SystemMemory.IsWatched(cpu, cell, out var page))
            {
                memory.StoreObserved(page);
            }
        }

        return true;
    }
}
