namespace WebVm.Vmm.Memory;

/// <summary>An address as a device puts it on the bus. It is for the device's <see cref="DmaSpace"/> to say what lies there.</summary>
public readonly record struct DmaAddress(ulong Value)
{
    public static DmaAddress operator +(DmaAddress address, ulong bytes) => new(address.Value + bytes);

    public override string ToString() => $"dma 0x{Value:x}";
}

/// <summary>
/// Guest memory as one device reaches it: by addresses that need not be the guest's physical ones, though they are as long as no IOMMU
/// stands between. Every access is checked as a whole; one that leaves memory, or would write to what takes no stores, fails as a value and
/// changes nothing. Copy what the guest can change, then validate the copy.
/// </summary>
public sealed class DmaSpace(GuestMemory memory)
{
    /// <summary>Copies out. False unless all of the range is memory.</summary>
    public bool TryRead(DmaAddress address, Span<byte> destination) => memory.TryRead(Translate(address), destination);

    /// <summary>Reads one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public bool TryRead<T>(DmaAddress address, out T value)
        where T : unmanaged => memory.TryRead(Translate(address), out value);

    /// <summary>Copies in. False, and nothing written, unless all of the range is memory that takes stores.</summary>
    public bool TryWrite(DmaAddress address, ReadOnlySpan<byte> source) =>
        IsWritable(address, (ulong)source.Length) && memory.TryWrite(Translate(address), source);

    /// <summary>Writes one value; atomic when it is naturally aligned and at most eight bytes.</summary>
    public unsafe bool TryWrite<T>(DmaAddress address, T value)
        where T : unmanaged => IsWritable(address, (ulong)sizeof(T)) && memory.TryWrite(Translate(address), value);

    /// <summary>Fills a range with one byte value.</summary>
    public bool TryFill(DmaAddress address, ulong length, byte value) =>
        IsWritable(address, length) && memory.TryFill(Translate(address), length, value);

    /// <summary>Whether all of the range is memory that takes stores, a device's own included.</summary>
    public bool IsWritable(DmaAddress address, ulong length) => memory.IsWritable(Translate(address), length);

    /// <summary>Whether all of the range is ordinary memory: no device's, no ROM.</summary>
    public bool IsRam(DmaAddress address, ulong length)
    {
        for (var at = Translate(address); length > 0;)
        {
            if (!memory.TryFind(at, out var mapping) || mapping is not { Kind: BackingKind.Memory, Region.Kind: GuestMemoryKind.Ram })
            {
                return false;
            }

            ulong piece = Math.Min(length, mapping.End - at);
            at += piece;
            length -= piece;
        }

        return true;
    }

    private static GuestPhysicalAddress Translate(DmaAddress address) => new(address.Value);
}
