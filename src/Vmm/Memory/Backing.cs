namespace WebVm.Vmm.Memory;

/// <summary>What a guest-physical page is to processors and devices.</summary>
public enum BackingKind : byte
{
    /// <summary>Not memory: the bus answers.</summary>
    Bus,

    /// <summary>RAM or a device's memory.</summary>
    Memory,

    /// <summary>Reads as memory; stores have no effect.</summary>
    ReadOnly,

    /// <summary>Reads as memory; the bus takes stores.</summary>
    WritesToBus,
}

/// <summary>What lies at a guest-physical address.</summary>
/// <param name="Address">Where in system-physical space; without meaning for <see cref="BackingKind.Bus"/>.</param>
public readonly record struct Backing(BackingKind Kind, SystemPhysicalAddress Address);
