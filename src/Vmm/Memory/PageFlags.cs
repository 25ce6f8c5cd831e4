namespace WebVm.Vmm.Memory;

/// <summary>
/// What is known about one page of backing memory, one byte per page in <see cref="GuestMemory.PageFlags"/>. Zero means that a store
/// needs no further attention; any bit sends the storing side to <see cref="GuestMemory.StoreObserved"/> after the store.
/// </summary>
/// <remarks>
/// The order is store first, flag check second. Whoever sets a bit issues
/// <see cref="Interlocked.MemoryBarrierProcessWide"/> before reading the page, so either the store is seen by the reader or
/// the bit is seen by the storer, without a fence on the storing side.
/// </remarks>
[Flags]
public enum PageFlags : byte
{
    None = 0,

    /// <summary>Dirty tracking is on and the page has not been written since the last collection.</summary>
    Clean = 1 << 0,

    /// <summary>Some vCPU of the soft engine holds decoded instructions of this page.</summary>
    Code = 1 << 1,

    /// <summary>The contents have not come yet: no translation leads here. See <see cref="GuestMemory.MakeAbsent"/>.</summary>
    Absent = 1 << 2,

    /// <summary>Some thread is bringing them.</summary>
    Filling = 1 << 3,
}
