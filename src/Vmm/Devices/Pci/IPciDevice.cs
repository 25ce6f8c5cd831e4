using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>A device that the guest reaches as a PCI function. It does not know its slot.</summary>
public interface IPciDevice : IDevice
{
    PciFunction Function { get; }
}
