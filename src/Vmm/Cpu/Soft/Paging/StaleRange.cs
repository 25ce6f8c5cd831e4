using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>
/// Pages whose translations are no longer so: by what they were to the guest, for those that led to the bus, or by the memory that they led
/// to.
/// </summary>
internal readonly record struct StaleRange(bool IsSystem, ulong First, ulong Size)
{
    public static StaleRange OfGuest(GuestPhysicalAddress at, ulong size) => new(false, at.Value, size);

    public static StaleRange OfSystem(SystemPhysicalAddress at, ulong size) => new(true, at.Value, size);

    public bool Holds(ulong address) => address - First < Size;
}
