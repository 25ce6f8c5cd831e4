using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>A device that the guest reaches as a PCI function. It does not know its slot. A function in D3hot is a device asleep.</summary>
public interface IPciDevice : IDevice, IPowerLevels
{
    PciFunction Function { get; }

    PowerLevel IPowerLevels.WantedLevel => Function.WantedLevel;

    event Action? IPowerLevels.LevelWanted
    {
        add => Function.LevelWanted += value;
        remove => Function.LevelWanted -= value;
    }
}
