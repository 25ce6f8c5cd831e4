namespace WebVm.Vmm.Memory;

/// <summary>A linear address of a guest: after segmentation, before paging (SDM Vol. 3A §3.1).</summary>
public readonly record struct GuestVirtualAddress(ulong Value)
{
    private const ulong OffsetMask = GuestPhysicalAddress.PageSize - 1;

    /// <summary>Where its page begins.</summary>
    public GuestVirtualAddress Page => new(Value & ~OffsetMask);

    /// <summary>Bytes from there to it.</summary>
    public uint PageOffset => (uint)(Value & OffsetMask);

    public static GuestVirtualAddress operator +(GuestVirtualAddress address, ulong bytes) => new(address.Value + bytes);

    public override string ToString() => $"0x{Value:x}";
}
