using System.Runtime.CompilerServices;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <content>What is known about each page of backing memory: flags and versions.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Every 16th observed store to a code page ends its observation.</summary>
    private const uint ForgetCodeMask = 15;

    private readonly AddressReservation _flags = AddressReservation.Zeroed(AddressSpaceSize >> PageShift);
    private readonly AddressReservation _versions = AddressReservation.Zeroed((AddressSpaceSize >> PageShift) * sizeof(uint));

    /// <summary>
    /// One <see cref="Memory.PageFlags"/> byte per page of system-physical space, indexed by <see cref="SystemPage.Number"/>.
    /// </summary>
    public byte* PageFlags => _flags.Base;

    /// <summary>
    /// One counter per page of system-physical space, advanced by every store to a page with <see cref="PageFlags.Code"/>.
    /// </summary>
    public uint* PageVersions => (uint*)_versions.Base;

    /// <summary>The slow path of a store: called after the store when the page's flag byte is not zero.</summary>
    public void StoreObserved(SystemPage page)
    {
        byte flags = Volatile.Read(ref PageFlags[page.Number]);
        if ((flags & (byte)Memory.PageFlags.Code) != 0)
        {
            // A page written again and again holds data by now: forget that it held code. The flag goes before the version: who reads the
            // new version then finds the flag clear, and who read the old one is stale.
            if ((PageVersions[page.Number] & ForgetCodeMask) == ForgetCodeMask)
            {
                ChangeFlags(page, clear: Memory.PageFlags.Code, set: Memory.PageFlags.None);
            }

            Interlocked.Increment(ref PageVersions[page.Number]);
        }

        if ((flags & (byte)Memory.PageFlags.Clean) != 0)
        {
            ChangeFlags(page, clear: Memory.PageFlags.Clean, set: Memory.PageFlags.None);
        }
    }

    /// <summary>Marks a page as holding decoded code. Decode only after this returns (see <see cref="Memory.PageFlags"/>).</summary>
    /// <returns>The version that the decoded code belongs to.</returns>
    public uint WatchCode(SystemPage page)
    {
        // The version first: see StoreObserved.
        uint version = Volatile.Read(ref PageVersions[page.Number]);
        if ((Volatile.Read(ref PageFlags[page.Number]) & (byte)Memory.PageFlags.Code) == 0)
        {
            ChangeFlags(page, clear: Memory.PageFlags.None, set: Memory.PageFlags.Code);
            Interlocked.MemoryBarrierProcessWide();
        }

        return version;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ObserveRange(SystemPhysicalAddress address, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        for (ulong page = address.Page.Number, last = (address + (length - 1)).Page.Number; page <= last; page++)
        {
            if (Volatile.Read(ref PageFlags[page]) != 0)
            {
                StoreObserved(new SystemPage(page));
            }
        }
    }

    /// <summary>Changes one flag byte atomically, by a compare-exchange on the aligned word that holds it.</summary>
    private void ChangeFlags(SystemPage page, PageFlags clear, PageFlags set)
    {
        ref int word = ref FlagWord(page, out int shift);
        int seen = Volatile.Read(ref word);
        while (true)
        {
            int next = (seen & ~((int)clear << shift)) | ((int)set << shift);
            int before = Interlocked.CompareExchange(ref word, next, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }

    /// <summary>The aligned word that holds a page's flags, and where in it they are.</summary>
    private ref int FlagWord(SystemPage page, out int shift)
    {
        shift = (int)(page.Number & 3) * 8;
        return ref Unsafe.AsRef<int>(PageFlags + (page.Number & ~3UL));
    }
}
