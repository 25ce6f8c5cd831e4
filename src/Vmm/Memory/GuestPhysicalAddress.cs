namespace WebVm.Vmm.Memory;

/// <summary>An address in a guest's physical address space, in bytes. Never a host address.</summary>
public readonly record struct GuestPhysicalAddress(ulong Value) : IComparable<GuestPhysicalAddress>
{
    /// <summary>Bytes in the smallest page of the architecture (SDM Vol. 3A §4.3).</summary>
    public const int PageSize = 1 << PageShift;

    public const int PageShift = 12;

    public static GuestPhysicalAddress operator +(GuestPhysicalAddress address, ulong bytes) => new(address.Value + bytes);

    public static ulong operator -(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value - right.Value;

    public static bool operator <(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value < right.Value;

    public static bool operator >(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value > right.Value;

    public static bool operator <=(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value <= right.Value;

    public static bool operator >=(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value >= right.Value;

    public int CompareTo(GuestPhysicalAddress other) => Value.CompareTo(other.Value);

    public override string ToString() => $"0x{Value:x}";
}
