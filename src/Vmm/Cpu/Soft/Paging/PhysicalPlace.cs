using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>Where an access goes: to the bus by a guest-physical address, else to memory by a system-physical one.</summary>
internal readonly struct PhysicalPlace
{
    private readonly ulong _address;

    public PhysicalPlace(GuestPhysicalAddress address)
    {
        Kind = BackingKind.Bus;
        _address = address.Value;
    }

    public PhysicalPlace(BackingKind kind, SystemPhysicalAddress address)
    {
        Kind = kind;
        _address = address.Value;
    }

    /// <summary>Where an access to a page with that backing goes.</summary>
    public static PhysicalPlace Of(GuestPhysicalAddress address, in Backing backing, AccessKind access) =>
        backing.Kind == BackingKind.Bus || (backing.Kind == BackingKind.WritesToBus && access == AccessKind.Write)
            ? new(address) : new(backing.Kind, backing.Address);

    public BackingKind Kind { get; }

    /// <summary>For <see cref="BackingKind.Bus"/>.</summary>
    public GuestPhysicalAddress Guest => new(_address);

    /// <summary>For every other kind.</summary>
    public SystemPhysicalAddress System => new(_address);
}
