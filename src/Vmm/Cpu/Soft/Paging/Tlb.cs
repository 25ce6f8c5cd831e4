using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Memory;

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

    /// <summary>
    /// Address spaces are spread over so many tables, so that the kernel's pages, which all have, are not displaced at every switch.
    /// </summary>
    private const int BankCount = 4;
    private const int TableCount = PrivilegeCount * BankCount;
    private const int TableSize = 32 * EntryCount;
    private const int TablesSize = TableSize * TableCount;

    /// <summary>Entries of each privilege for what is not plain memory: more device pages than a machine's drivers use at a time.</summary>
    private const int OtherCount = 256;
    private const int OthersSize = 32 * OtherCount * PrivilegeCount;
    private const int PcidCount = 4096;

    /// <summary>Never in a tag: makes every access miss.</summary>
    public const uint NoSpace = 0xfff;

    /// <summary>Takes host memory only where it is used.</summary>
    private readonly AddressReservation _memory = AddressReservation.Zeroed(TablesSize + OthersSize);
    private readonly TlbEntry* _tables;

    /// <summary>
    /// What the tables cannot hold, as hits there are accesses to memory: pages of the bus, and stores to pages that only read as memory.
    /// The addend leads to the guest-physical page and has its <see cref="BackingKind"/> in the low bits.
    /// </summary>
    private readonly TlbEntry* _others;

    /// <summary>Tables that anything was ever entered in.</summary>
    private uint _used;
    private readonly ushort[] _spaceOfPcid = new ushort[PcidCount];
    private readonly LargePageFilter _largeRegions = new(21);
    private readonly LargePageFilter _hugeRegions = new(30);
    private readonly GCHandle _self;
    private uint _nextSpace = 1;
    private uint _space = 1;

    /// <param name="cpu">The processor whose cache this is.</param>
    public Tlb(CpuContext* cpu)
    {
        _self = GCHandle.Alloc(this);
        cpu->TranslationCache = GCHandle.ToIntPtr(_self);
        Stale = new StaleTranslations(this);
        _tables = (TlbEntry*)_memory.Base;
        _others = (TlbEntry*)(_memory.Base + TablesSize);
    }

    /// <summary>Translations that the memory map's changes made stale and that are to be dropped.</summary>
    public StaleTranslations Stale { get; }

    /// <summary>Number of flushes of everything: the tests' view.</summary>
    public long FullFlushes { get; private set; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Tlb Of(CpuContext* cpu) => Unsafe.As<Tlb>(GCHandle.FromIntPtr(cpu->TranslationCache).Target!);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* Entry(CpuContext* cpu, GuestVirtualAddress linear) =>
        (TlbEntry*)((byte*)cpu->Tlb + ((linear.Value >> 7) & ((EntryCount - 1) << 5)));

    /// <summary>The translation to what is not plain memory, for whoever finds none to memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* Other(CpuContext* cpu, GuestVirtualAddress linear) =>
        cpu->Others + (int)((linear.Value >> 12) & (OtherCount - 1));

    /// <summary>
    /// The tag that an access matches whose last byte is at <paramref name="last"/>: one that crosses into the next page never does.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Match(CpuContext* cpu, GuestVirtualAddress last) => (last.Value & ~0xfffUL) | cpu->TlbTag;

    /// <summary>The current privilege of explicit accesses.</summary>
    public static Privilege Current(CpuContext* cpu) =>
        cpu->Cpl == 3 ? Privilege.User
        : (cpu->State.Cr4 & Cr4.Smap) != 0 && (cpu->State.Rflags & RflagsBits.Ac) == 0 ? Privilege.Supervisor
        : Privilege.SupervisorOpen;

    /// <summary>Takes over CPL, AC, SMAP and the need for slow accesses after any of them may have changed.</summary>
    public void SelectPrivilege(CpuContext* cpu)
    {
        var privilege = Current(cpu);
        cpu->Tlb = Table(privilege);
        cpu->Others = _others + (OtherCount * (int)privilege);
        bool slow = cpu->DataBreakpoints != 0
            || (cpu->Cpl == 3 && (cpu->State.Rflags & RflagsBits.Ac) != 0 && (cpu->State.Cr0 & Cr0.Am) != 0);
        cpu->TlbTag = slow ? NoSpace : _space;
    }

    /// <summary>Enters a translation to a page of that backing.</summary>
    public void Fill(CpuContext* cpu, Privilege privilege, GuestVirtualAddress linear, in Translation translation, in Backing backing)
    {
        ulong page = linear.Value & ~0xfffUL;
        ulong tag = page | _space;
        if (backing.Kind != BackingKind.Bus)
        {
            int table = TableOf(privilege);
            var entry = _tables + (EntryCount * table) + (int)((linear.Value >> 12) & (EntryCount - 1));
            entry->Read = translation.Readable ? tag : 0;
            entry->Write = translation.Writable && backing.Kind == BackingKind.Memory ? tag : 0;
            entry->Execute = translation.Executable ? tag : 0;
            entry->Addend = ((ulong)SystemMemory.Host(cpu, backing.Address) & ~0xfffUL) - page;
            _used |= 1u << table;
        }

        if (backing.Kind != BackingKind.Memory)
        {
            bool reads = backing.Kind == BackingKind.Bus;
            var other = Other(privilege, linear);
            other->Read = reads && translation.Readable ? tag : 0;
            other->Write = translation.Writable ? tag : 0;
            other->Execute = reads && translation.Executable ? tag : 0;
            other->Addend = ((translation.Physical.Value & ~0xfffUL) - page) | (ulong)backing.Kind;
        }

        if (translation.PageShift == 30)
        {
            _hugeRegions.Mark(linear);
        }
        else if (translation.PageShift > 12)
        {
            _largeRegions.Mark(linear);
        }
    }

    /// <summary>Looks up where an access with that privilege goes. False where nothing is known of it.</summary>
    public bool TryFind(CpuContext* cpu, Privilege privilege, GuestVirtualAddress linear, AccessKind access, out PhysicalPlace place)
    {
        ulong tag = (linear.Value & ~0xfffUL) | _space;
        var entry = _tables + (EntryCount * TableOf(privilege)) + (int)((linear.Value >> 12) & (EntryCount - 1));
        if (Tag(entry, access) == tag)
        {
            place = new(BackingKind.Memory, SystemMemory.Address(cpu, (byte*)(linear.Value + entry->Addend)));
            return true;
        }

        var other = Other(privilege, linear);
        if (Tag(other, access) == tag)
        {
            var kind = (BackingKind)(other->Addend & 0xfff);
            place = kind == BackingKind.ReadOnly
                ? new(kind, default)
                : new(new GuestPhysicalAddress(linear.Value + (other->Addend & ~0xfffUL)));
            return true;
        }

        place = default;
        return false;
    }

    /// <summary>Drops translations to pages that have come to mean something else, in all address spaces.</summary>
    public void Drop(CpuContext* cpu, ReadOnlySpan<StaleRange> ranges)
    {
        for (int table = 0; table < TableCount; table++)
        {
            if ((_used & (1u << table)) != 0)
            {
                Drop(_tables + (EntryCount * table), EntryCount, ranges, (ulong)cpu->SystemBase, isSystem: true);
            }
        }

        Drop(_others, OtherCount * PrivilegeCount, ranges, 0, isSystem: false);
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

    /// <summary>
    /// INVLPG: the page that holds the address, in every address space (which the architecture allows), global ones included.
    /// </summary>
    public void FlushPage(CpuContext* cpu, GuestVirtualAddress linear)
    {
        if (_hugeRegions.MayHold(linear) || _largeRegions.MayHold(linear) || _largeRegions.MayHold(new(linear.Value ^ (1 << 21))))
        {
            // Part of a large page, which lies here in pieces (its other half too, where a page has 4 MiB).
            FlushAll(cpu);
            return;
        }

        for (int table = 0; table < TableCount; table++)
        {
            _tables[(EntryCount * table) + (int)((linear.Value >> 12) & (EntryCount - 1))] = default;
        }

        for (var privilege = Privilege.User; privilege <= Privilege.SupervisorOpen; privilege++)
        {
            *Other(privilege, linear) = default;
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _self.Free();
    }

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
            NativeMemory.Clear(_tables, TablesSize + OthersSize);
            Array.Clear(_spaceOfPcid);
            _largeRegions.Clear();
            _hugeRegions.Clear();
            _nextSpace = 1;
        }

        return _nextSpace;
    }

    private static void Drop(TlbEntry* entries, int count, ReadOnlySpan<StaleRange> ranges, ulong origin, bool isSystem)
    {
        for (var entry = entries; entry < entries + count; entry++)
        {
            // Tags of one entry are equal, or 0.
            ulong tag = entry->Read | entry->Write | entry->Execute;
            if (tag == 0)
            {
                continue;
            }

            ulong page = (tag & ~0xfffUL) + (entry->Addend & ~0xfffUL) - origin;
            foreach (ref readonly var range in ranges)
            {
                if (range.IsSystem == isSystem && range.Holds(page))
                {
                    *entry = default;
                    break;
                }
            }
        }
    }

    private static ulong Tag(TlbEntry* entry, AccessKind access) =>
        access switch { AccessKind.Read => entry->Read, AccessKind.Write => entry->Write, _ => entry->Execute };

    private TlbEntry* Other(Privilege privilege, GuestVirtualAddress linear) =>
        _others + (OtherCount * (int)privilege) + (int)((linear.Value >> 12) & (OtherCount - 1));

    private TlbEntry* Table(Privilege privilege) => _tables + (EntryCount * TableOf(privilege));

    private int TableOf(Privilege privilege) => ((int)privilege * BankCount) + (int)(_space & (BankCount - 1));
}
