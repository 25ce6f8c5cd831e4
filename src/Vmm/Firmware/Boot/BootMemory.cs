using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>
/// Places what a boot protocol needs into RAM: every range is claimed before it is written, lies in RAM that the memory map gives to the
/// guest, and overlaps nothing claimed before.
/// </summary>
internal sealed class BootMemory(GuestMemory memory, MemoryMap map, BootFile kernel)
{
    /// <summary>Structures of the loader start here: page 0 is left to the real-mode interrupt vectors and BIOS data.</summary>
    public const ulong LowestStructure = 0x1000;

    public const ulong FourGigabytes = 1UL << 32;

    private readonly List<Claim> _claims = [];

    public MemoryMap Map => map;

    /// <summary>Takes a range at a fixed place.</summary>
    /// <exception cref="BootException">The range is not RAM, or in use.</exception>
    public void Take(string what, ulong address, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        if (!IsRam(address, length))
        {
            throw kernel.Fault($"{what} at 0x{address:x}, {length} bytes, is not in RAM");
        }

        foreach (var claim in _claims)
        {
            if (address < claim.End && claim.Start < address + length)
            {
                throw kernel.Fault($"{what} at 0x{address:x}, {length} bytes, overlaps {claim.What} at 0x{claim.Start:x}");
            }
        }

        _claims.Add(new Claim(address, address + length, what));
    }

    /// <summary>Whether a range could be taken.</summary>
    public bool IsFree(ulong address, ulong length) =>
        IsRam(address, length) && !_claims.Exists(claim => address < claim.End && claim.Start < address + length);

    /// <summary>
    /// Takes the lowest free range at or above <paramref name="lowest"/>; null when there is none below <paramref name="limit"/>.
    /// </summary>
    public ulong? TakeLowest(string what, ulong length, ulong alignment, ulong lowest, ulong limit = FourGigabytes)
    {
        length = Math.Max(length, 1);
        foreach (var entry in Ram())
        {
            if (AlignUp(Math.Max(entry.Base.Value, lowest), alignment) is not { } at)
            {
                return null;
            }

            ulong end = Math.Min(entry.End.Value, limit);
            while (at < end && end - at >= length)
            {
                if (FindOverlap(at, length) is not { } blocking)
                {
                    _claims.Add(new Claim(at, at + length, what));
                    return at;
                }

                if (AlignUp(blocking.End, alignment) is not { } next)
                {
                    return null;
                }

                at = next;
            }
        }

        return null;
    }

    /// <summary>Takes the highest free range below <paramref name="limit"/>; null when there is none.</summary>
    public ulong? TakeHighest(string what, ulong length, ulong alignment, ulong limit)
    {
        length = Math.Max(length, 1);
        foreach (var entry in Ram().Reverse())
        {
            ulong end = Math.Min(entry.End.Value, limit);
            while (end > entry.Base.Value && end - entry.Base.Value >= length)
            {
                ulong at = (end - length) & ~(alignment - 1);
                if (at < entry.Base.Value)
                {
                    break;
                }

                if (FindOverlap(at, length) is not { } blocking)
                {
                    _claims.Add(new Claim(at, at + length, what));
                    return at;
                }

                end = blocking.Start;
            }
        }

        return null;
    }

    /// <summary>
    /// Takes and fills room for a structure of the loader below 1 MiB if there is any, else as low as possible below 4 GiB.
    /// </summary>
    public ulong Place(string what, ReadOnlySpan<byte> contents, ulong alignment = 16)
    {
        ulong address = Reserve(what, (ulong)contents.Length, alignment);
        Write(address, contents);
        return address;
    }

    /// <summary>As <see cref="Place"/>, to be filled later.</summary>
    public ulong Reserve(string what, ulong length, ulong alignment = 16) =>
        TakeLowest(what, length, alignment, LowestStructure)
        ?? throw kernel.Fault($"the machine has no RAM below 4 GiB left for {what}, {length} bytes");

    /// <summary>Copies into a range that was taken.</summary>
    public void Write(ulong address, ReadOnlySpan<byte> contents)
    {
        if (contents.Length > 0 && !memory.TryWrite(new GuestPhysicalAddress(address), contents))
        {
            throw kernel.Fault($"cannot be loaded: 0x{address:x}, {contents.Length} bytes, is not memory");
        }
    }

    /// <summary>Zeroes a range that was taken: after a reset RAM still holds what the guest left there.</summary>
    public void Clear(ulong address, ulong length)
    {
        if (length > 0 && !memory.TryFill(new GuestPhysicalAddress(address), length, 0))
        {
            throw kernel.Fault($"cannot be loaded: 0x{address:x}, {length} bytes, is not memory");
        }
    }

    private IEnumerable<MemoryMapEntry> Ram() => map.Entries.Where(entry => entry.Type == MemoryMapType.Ram);

    private bool IsRam(ulong address, ulong length) => Ram().Any(entry =>
        address >= entry.Base.Value && length <= entry.Length && address - entry.Base.Value <= entry.Length - length);

    private Claim? FindOverlap(ulong address, ulong length)
    {
        foreach (var claim in _claims)
        {
            if (address < claim.End && claim.Start < address + length)
            {
                return claim;
            }
        }

        return null;
    }

    private static ulong? AlignUp(ulong value, ulong alignment) =>
        value > ulong.MaxValue - (alignment - 1) ? null : (value + alignment - 1) & ~(alignment - 1);

    private readonly record struct Claim(ulong Start, ulong End, string What);
}
