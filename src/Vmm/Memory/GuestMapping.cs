namespace WebVm.Vmm.Memory;

/// <summary>A piece of a region where the guest sees it. A region may be seen in several places, in parts, or nowhere.</summary>
/// <param name="Offset">Bytes into the region.</param>
/// <param name="Kind">What the guest may do there; <see cref="BackingKind.Bus"/> is not a mapping.</param>
public readonly record struct GuestMapping(GuestPhysicalAddress At, GuestMemoryRegion Region, ulong Offset, ulong Size, BackingKind Kind)
{
    /// <summary>The whole region, with the access of its kind.</summary>
    public GuestMapping(GuestPhysicalAddress at, GuestMemoryRegion region)
        : this(at, region, 0, region.Size, region.Access)
    {
    }

    public GuestPhysicalAddress End => At + Size;

    public SystemPhysicalAddress System => Region.System + Offset;

    /// <summary>Bytes of the range that this is about.</summary>
    internal bool Overlaps(GuestPhysicalAddress at, ulong size) => At < at + size && at < End;

    /// <summary>What of it lies in the range, which overlaps it.</summary>
    internal GuestMapping Within(GuestPhysicalAddress at, ulong size)
    {
        var first = At > at ? At : at;
        var end = End < at + size ? End : at + size;
        return this with { At = first, Offset = Offset + (first - At), Size = end - first };
    }

    /// <summary>Whether <paramref name="next"/> goes on where this ends, in the guest's view and in the region.</summary>
    internal bool GoesOnAs(in GuestMapping next) =>
        next.At == End && next.Region == Region && next.Kind == Kind && next.Offset == Offset + Size;

    /// <summary>Whole pages, inside the address space and a region that is there.</summary>
    internal bool IsSound => !Region.IsReleased && Size > 0 && ((At.Value | Offset | Size) & (GuestPhysicalAddress.PageSize - 1)) == 0
        && Kind != BackingKind.Bus
        && Offset <= Region.Size && Size <= Region.Size - Offset
        && At.Value < GuestMemory.AddressSpaceSize && Size <= GuestMemory.AddressSpaceSize - At.Value;
}

/// <summary>A change of the guest's memory map that has been made: pages of one range mean something else.</summary>
/// <param name="Removed">Mappings that are no more, or no more in one piece.</param>
/// <param name="Added">Mappings that are new, with what remains of those that were cut.</param>
public sealed record MapChange(GuestPhysicalAddress At, ulong Size, IReadOnlyList<GuestMapping> Removed, IReadOnlyList<GuestMapping> Added);
