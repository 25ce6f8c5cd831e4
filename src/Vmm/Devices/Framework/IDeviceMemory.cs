using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device with memory of its own (a framebuffer), whose contents are saved beside the guest's RAM, by region name.</summary>
public interface IDeviceMemory
{
    IReadOnlyList<GuestMemoryRegion> MemoryRegions { get; }
}
