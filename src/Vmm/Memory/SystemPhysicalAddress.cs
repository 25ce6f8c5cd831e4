namespace WebVm.Vmm.Memory;

/// <summary>
/// An address in a machine's system-physical space, in bytes: there every page of backing memory is once, whatever the guest calls it, or
/// whether it sees it at all.
/// </summary>
public readonly record struct SystemPhysicalAddress(ulong Value)
{
    public SystemPage Page => new(Value >> GuestPhysicalAddress.PageShift);

    public static SystemPhysicalAddress operator +(SystemPhysicalAddress address, ulong bytes) => new(address.Value + bytes);

    public override string ToString() => $"system 0x{Value:x}";
}

/// <summary>
/// A page of the system-physical space, by its number. Flags and versions belong to it, not to the names that guests have for it.
/// </summary>
public readonly record struct SystemPage(ulong Number)
{
    public static SystemPage operator +(SystemPage page, int pages) => new(page.Number + (ulong)pages);
}
