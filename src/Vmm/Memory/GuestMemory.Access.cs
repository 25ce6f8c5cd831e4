using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace WebVm.Vmm.Memory;

/// <content>Checked accesses by guest-physical address.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>
    /// The one conversion of guest-physical addresses to what the guest has there. Whose contents come late has them when this returns.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Backing Resolve(GuestPhysicalAddress address)
    {
        var backing = View.Find(address);
        if (AbsentPages != 0 && backing.Kind != BackingKind.Bus)
        {
            FillIfAbsent(backing.Address.Page);
        }

        return backing;
    }

    /// <summary>The same for a range: how much of it, at most <paramref name="length"/> bytes, is of one kind and one piece.</summary>
    private Backing Resolve(GuestPhysicalAddress address, ulong length, out ulong run)
    {
        var backing = View.Find(address, length, out run);
        if (AbsentPages != 0 && backing.Kind != BackingKind.Bus)
        {
            FillAbsent(backing.Address, run);
        }

        return backing;
    }

    /// <summary>Whether all of the range is memory.</summary>
    public bool Contains(GuestPhysicalAddress address, ulong length) => Covers(address, length, writable: false);

    /// <summary>Whether all of the range is memory that takes stores.</summary>
    public bool IsWritable(GuestPhysicalAddress address, ulong length) => Covers(address, length, writable: true);

    /// <summary>
    /// Copies guest memory out. False, and <paramref name="destination"/> unspecified, unless all of the range is mapped.
    /// </summary>
    public bool TryRead(GuestPhysicalAddress address, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var backing = Resolve(address, (ulong)destination.Length, out ulong run);
            if (backing.Kind == BackingKind.Bus)
            {
                return false;
            }

            new ReadOnlySpan<byte>(Host(backing.Address), (int)run).CopyTo(destination);
            address += run;
            destination = destination[(int)run..];
        }

        return true;
    }

    /// <summary>
    /// Copies into guest memory. False, and nothing written, unless all of the range is mapped. Writes to ROM are made: use it only for the
    /// host's own.
    /// </summary>
    public bool TryWrite(GuestPhysicalAddress address, ReadOnlySpan<byte> source)
    {
        if (!Contains(address, (ulong)source.Length))
        {
            return false;
        }

        while (source.Length > 0)
        {
            var backing = Resolve(address, (ulong)source.Length, out ulong run);
            if (backing.Kind == BackingKind.Bus)
            {
                return false;
            }

            source[..(int)run].CopyTo(new Span<byte>(Host(backing.Address), (int)run));
            ObserveRange(backing.Address, run);
            address += run;
            source = source[(int)run..];
        }

        return true;
    }

    /// <summary>Copies into a region, whether the guest sees it or not.</summary>
    /// <param name="offset">Bytes into the region.</param>
    public void Write(GuestMemoryRegion region, ulong offset, ReadOnlySpan<byte> source)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, region.Size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)source.Length, region.Size - offset, nameof(source));
        var address = region.System + offset;
        if (AbsentPages != 0)
        {
            FillAbsent(address, (ulong)source.Length);
        }

        source.CopyTo(new Span<byte>(Host(address), source.Length));
        ObserveRange(address, (ulong)source.Length);
    }

    /// <summary>Reads one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public bool TryRead<T>(GuestPhysicalAddress address, out T value)
        where T : unmanaged
    {
        if (InOnePage(address, sizeof(T)))
        {
            var backing = Resolve(address);
            if (backing.Kind != BackingKind.Bus)
            {
                value = Unsafe.ReadUnaligned<T>(Host(backing.Address));
                return true;
            }
        }

        Unsafe.SkipInit(out value);
        if (TryRead(address, MemoryMarshal.AsBytes(new Span<T>(ref value))))
        {
            return true;
        }

        value = default;
        return false;
    }

    /// <summary>Writes one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public bool TryWrite<T>(GuestPhysicalAddress address, T value)
        where T : unmanaged
    {
        if (!InOnePage(address, sizeof(T)))
        {
            return TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));
        }

        var backing = Resolve(address);
        if (backing.Kind == BackingKind.Bus)
        {
            return false;
        }

        Unsafe.WriteUnaligned(Host(backing.Address), value);
        ObserveRange(backing.Address, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Fills a range with one byte value.</summary>
    public bool TryFill(GuestPhysicalAddress address, ulong length, byte value)
    {
        if (!Contains(address, length))
        {
            return false;
        }

        while (length > 0)
        {
            var backing = Resolve(address, length, out ulong run);
            if (backing.Kind == BackingKind.Bus)
            {
                return false;
            }

            NativeMemory.Fill(Host(backing.Address), (nuint)run, value);
            ObserveRange(backing.Address, run);
            address += run;
            length -= run;
        }

        return true;
    }

    private bool Covers(GuestPhysicalAddress address, ulong length, bool writable)
    {
        while (length > 0)
        {
            var kind = View.Find(address, length, out ulong run).Kind;
            if (kind == BackingKind.Bus || (writable && kind != BackingKind.Memory))
            {
                return false;
            }

            address += run;
            length -= run;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool InOnePage(GuestPhysicalAddress address, int size) => (address.Value & PageMask) + (uint)size <= PageMask + 1;
}
