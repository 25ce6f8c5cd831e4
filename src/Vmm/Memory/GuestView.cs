using System.Runtime.CompilerServices;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Memory;

/// <summary>
/// The guest-physical address space: what lies at each of its pages, found in constant time by any thread. One writer at a time.
/// </summary>
/// <remarks>
/// A chunk of 2 MiB is one entry where it is all of a piece, else it has an entry for each page. Both tables are reserved whole and take
/// host memory only where something is mapped; the entries of a chunk that has become empty are given back, and then say that nothing is
/// there.
/// </remarks>
public sealed unsafe class GuestView : IDisposable
{
    private const int ChunkShift = 21;
    private const ulong ChunkSize = 1UL << ChunkShift;
    private const int PageShift = GuestPhysicalAddress.PageShift;
    private const int PagesPerChunk = 1 << (ChunkShift - PageShift);
    private const ulong ChunkBytes = PagesPerChunk * sizeof(ulong);
    private const ulong KindMask = 3;

    /// <summary>The chunk's pages have entries of their own.</summary>
    private const ulong Split = 1 << 2;

    private readonly AddressReservation _chunks = AddressReservation.Zeroed((GuestMemory.AddressSpaceSize >> ChunkShift) * sizeof(ulong));
    private readonly AddressReservation _pages = AddressReservation.Zeroed((GuestMemory.AddressSpaceSize >> PageShift) * sizeof(ulong));

    private ulong* Chunks => (ulong*)_chunks.Base;

    private ulong* Pages => (ulong*)_pages.Base;

    /// <summary>What lies at an address; beyond the address space, nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Backing Find(GuestPhysicalAddress address)
    {
        ulong value = address.Value;
        if (value >= GuestMemory.AddressSpaceSize)
        {
            return default;
        }

        ulong entry = Volatile.Read(ref Chunks[value >> ChunkShift]);
        ulong within = value & (ChunkSize - 1);
        if ((entry & Split) != 0)
        {
            entry = Volatile.Read(ref Pages[value >> PageShift]);
            within = value & (GuestPhysicalAddress.PageSize - 1);
        }

        return new((BackingKind)(entry & KindMask), new((entry & ~(ulong)(GuestPhysicalAddress.PageSize - 1)) + within));
    }

    /// <summary>
    /// What lies at an address, and how much from there on, at most <paramref name="length"/> bytes, is surely of one kind and one piece of
    /// system-physical space.
    /// </summary>
    public Backing Find(GuestPhysicalAddress address, ulong length, out ulong run)
    {
        var first = Find(address);
        run = Math.Min(length, LeftInEntry(address));
        while (run < length && first.Kind != BackingKind.Bus && Find(address + run) == new Backing(first.Kind, first.Address + run))
        {
            run = Math.Min(length, run + LeftInEntry(address + run));
        }

        return first;
    }

    public void Dispose()
    {
        _chunks.Dispose();
        _pages.Dispose();
    }

    /// <summary>Says what lies at a range of whole pages from now on.</summary>
    /// <param name="system">Where its first page is in system-physical space.</param>
    internal void Set(GuestPhysicalAddress at, ulong size, BackingKind kind, SystemPhysicalAddress system)
    {
        for (ulong done = 0; done < size;)
        {
            ulong address = at.Value + done;
            ulong piece = Math.Min(ChunkSize - (address & (ChunkSize - 1)), size - done);
            ulong entry = kind == BackingKind.Bus ? 0 : (system.Value + done) | (ulong)kind;
            if (piece == ChunkSize)
            {
                SetChunk(address >> ChunkShift, entry);
            }
            else
            {
                SetPages(address, piece, entry);
            }

            done += piece;
        }
    }

    private ulong LeftInEntry(GuestPhysicalAddress address)
    {
        if (address.Value >= GuestMemory.AddressSpaceSize)
        {
            return ulong.MaxValue;
        }

        ulong mask = (Chunks[address.Value >> ChunkShift] & Split) != 0 ? GuestPhysicalAddress.PageSize - 1UL : ChunkSize - 1;
        return mask + 1 - (address.Value & mask);
    }

    private void SetChunk(ulong chunk, ulong entry)
    {
        bool split = (Chunks[chunk] & Split) != 0;
        Volatile.Write(ref Chunks[chunk], entry);
        if (split && entry == 0)
        {
            GiveBack(chunk);
        }
    }

    private void SetPages(ulong address, ulong size, ulong entry)
    {
        ulong chunk = address >> ChunkShift;
        ulong whole = Chunks[chunk];
        if ((whole & Split) == 0)
        {
            if (whole == 0 && entry == 0)
            {
                return;
            }

            Fill(chunk << (ChunkShift - PageShift), PagesPerChunk, whole);
            Volatile.Write(ref Chunks[chunk], Split);
        }

        Fill(address >> PageShift, (int)(size >> PageShift), entry);
        if (entry == 0 && !new ReadOnlySpan<ulong>(Pages + (chunk << (ChunkShift - PageShift)), PagesPerChunk).ContainsAnyExcept(0UL))
        {
            Volatile.Write(ref Chunks[chunk], 0);
            GiveBack(chunk);
        }
    }

    private void Fill(ulong page, int count, ulong entry)
    {
        for (int i = 0; i < count; i++)
        {
            Volatile.Write(ref Pages[page + (ulong)i], entry);
            entry += (entry & KindMask) == 0 ? 0UL : GuestPhysicalAddress.PageSize;
        }
    }

    // Whoever still reads them finds zeros: nothing there, which is so.
    private void GiveBack(ulong chunk) => _pages.Discard(chunk * ChunkBytes, ChunkBytes);
}
