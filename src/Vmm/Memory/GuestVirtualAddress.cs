namespace WebVm.Vmm.Memory;

/// <summary>A linear address of a guest: after segmentation, before paging (SDM Vol. 3A §3.1).</summary>
public readonly record struct GuestVirtualAddress(ulong Value)
{
    public static GuestVirtualAddress operator +(GuestVirtualAddress address, ulong bytes) => new(address.Value + bytes);

    public override string ToString() => $"0x{Value:x}";
}
