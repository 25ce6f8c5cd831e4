using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>Whose rights an access has; selects one of the three tables.</summary>
internal enum Privilege
{
    User,

    /// <summary>CPL 0-2 (or an implicit access) with SMAP in force.</summary>
    Supervisor,

    /// <summary>CPL 0-2 and user pages are open: SMAP off or RFLAGS.AC set.</summary>
    SupervisorOpen,
}

/// <summary>
/// One vCPU's translation cache: direct-mapped tables per privilege. Tags carry the number of the address space, so changing CR3 is
/// changing a number; address spaces are PCIDs, or without CR4.PCIDE a new number at every flush (SDM Vol. 3A §4.10).
/// </summary>
internal sealed unsafe class Tlb : IDisposable
{
    /// <summary>Entries of each table: translations of 32 MiB.</summary>
    public const int EntryCount = 8192;
    private const int PrivilegeCount = 3;

    /// <summary>Address spaces are spread over so many tables, so that the kernel's pages, which all have, are not displaced at every switch.</summary>
    private const int BankCount = 4;
    private const int TableCount = PrivilegeCount * BankCount;
    private const int TablesSize = 32 * EntryCount * TableCount;
    private const int PcidCount = 4096;

    /// <summary>Never in a tag: makes every access miss.</summary>
    public const uint NoSpace = 0xfff;

    /// <summary>Takes host memory only where it is used.</summary>
    private readonly AddressReservation _memory = AddressReservation.Zeroed(TablesSize);
    private readonly TlbEntry* _tables;
    private readonly ushort[] _spaceOfPcid = new ushort[PcidCount];
    private readonly LargePageFilter _largeRegions = new(21);
    private readonly LargePageFilter _hugeRegions = new(30);
    private uint _nextSpace = 1;
    private uint _space = 1;

    public Tlb()
    {
        _tables = (TlbEntry*)_memory.Base;
    }

    /// <summary>Number of flushes of everything: the tests' view.</summary>
    public long FullFlushes { get; private set; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* Entry(CpuContext* cpu, ulong linear) =>
        (TlbEntry*)((byte*)cpu->Tlb + ((linear >> 7) & ((EntryCount - 1) << 5)));

    /// <summary>The tag that an access matches whose last byte is at <paramref name="last"/>: one that crosses into the next page never does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Match(CpuContext* cpu, ulong last) => (last & ~0xfffUL) | cpu->TlbTag;

    /// <summary>The current privilege of explicit accesses.</summary>
    public static Privilege Current(CpuContext* cpu) =>
        cpu->Cpl == 3 ? Privilege.User
        : (cpu->State.Cr4 & Cr4.Smap) != 0 && (cpu->State.Rflags & RflagsBits.Ac) == 0 ? Privilege.Supervisor
        : Privilege.SupervisorOpen;

    /// <summary>Takes over CPL, AC, SMAP and the need for slow accesses after any of them may have changed.</summary>
    public void SelectPrivilege(CpuContext* cpu)
    {
        cpu->Tlb = Table(Current(cpu));
        bool slow = cpu->DataBreakpoints != 0
            || (cpu->Cpl == 3 && (cpu->State.Rflags & RflagsBits.Ac) != 0 && (cpu->State.Cr0 & Cr0.Am) != 0);
        cpu->TlbTag = slow ? NoSpace : _space;
    }

    /// <summary>Enters a translation. Rights that need the slow path are left out by the caller.</summary>
    public void Fill(Privilege privilege, ulong linear, ulong host, bool read, bool write, bool execute, int pageShift)
    {
        ulong page = linear & ~0xfffUL;
        var entry = Table(privilege) + (int)((linear >> 12) & (EntryCount - 1));
        ulong tag = page | _space;
        // The right for other accesses that the entry has already stays valid only for the same translation.
        entry->Read = read ? tag : 0;
        entry->Write = write ? tag : 0;
        entry->Execute = execute ? tag : 0;
        entry->Addend = (host & ~0xfffUL) - page;
        if (pageShift == 30)
        {
            _hugeRegions.Mark(linear);
        }
        else if (pageShift > 12)
        {
            _largeRegions.Mark(linear);
        }
    }

    /// <summary>Looks up a translation of that privilege. Gives null where there is none for the access.</summary>
    public TlbEntry* Find(Privilege privilege, ulong linear, AccessKind access)
    {
        var entry = Table(privilege) + (int)((linear >> 12) & (EntryCount - 1));
        ulong tag = (linear & ~0xfffUL) | _space;
        ulong have = access switch { AccessKind.Read => entry->Read, AccessKind.Write => entry->Write, _ => entry->Execute };
        return have == tag ? entry : null;
    }

    /// <summary>Drops everything, global translations included.</summary>
    public void FlushAll(CpuContext* cpu)
    {
        FullFlushes++;
        Array.Clear(_spaceOfPcid);
        _largeRegions.Clear();
        _hugeRegions.Clear();
        _space = NewSpace();
        Enter(cpu);
    }

    /// <summary>MOV to CR3 and its kind: switches to the PCID, keeping what is cached for it if <paramref name="keep"/>.</summary>
    public void SwitchTo(CpuContext* cpu, uint pcid, bool keep)
    {
        if (!keep || _spaceOfPcid[pcid] == 0)
        {
            _spaceOfPcid[pcid] = 0;
            uint fresh = NewSpace();
            _spaceOfPcid[pcid] = (ushort)fresh;
        }

        _space = _spaceOfPcid[pcid];
        SelectPrivilege(cpu);
    }

    /// <summary>INVPCID type 1.</summary>
    public void FlushPcid(CpuContext* cpu, uint pcid)
    {
        _spaceOfPcid[pcid] = 0;
        if (pcid == CurrentPcid(cpu))
        {
            SwitchTo(cpu, pcid, keep: false);
        }
    }

    /// <summary>INVLPG: the page that holds the address, in every address space (which the architecture allows), global ones included.</summary>
    public void FlushPage(CpuContext* cpu, ulong linear)
    {
        if (_hugeRegions.MayHold(linear) || _largeRegions.MayHold(linear) || _largeRegions.MayHold(linear ^ (1 << 21)))
        {
            // Part of a large page, which lies here in pieces (its other half too, where a page has 4 MiB).
            FlushAll(cpu);
            return;
        }

        for (int table = 0; table < TableCount; table++)
        {
            _tables[(EntryCount * table) + (int)((linear >> 12) & (EntryCount - 1))] = default;
        }
    }

    public void Dispose() => _memory.Dispose();

    private static uint CurrentPcid(CpuContext* cpu) => (cpu->State.Cr4 & Cr4.Pcide) != 0 ? (uint)cpu->State.Cr3 & 0xfff : 0;

    private void Enter(CpuContext* cpu)
    {
        _spaceOfPcid[CurrentPcid(cpu)] = (ushort)_space;
        SelectPrivilege(cpu);
    }

    private uint NewSpace()
    {
        if (++_nextSpace >= NoSpace)
        {
            NativeMemory.Clear(_tables, TablesSize);
            Array.Clear(_spaceOfPcid);
            _largeRegions.Clear();
            _hugeRegions.Clear();
            _nextSpace = 1;
        }

        return _nextSpace;
    }

    private TlbEntry* Table(Privilege privilege) => _tables + (EntryCount * (((int)privilege * BankCount) + (int)(_space & (BankCount - 1))));
}
