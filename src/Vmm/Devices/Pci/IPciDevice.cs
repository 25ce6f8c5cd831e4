using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// A device that the guest reaches as a PCI function. It does not know its slot. A function in D3hot is a device asleep; one behind a link
/// that went down is a device to be reset, which <see cref="IDevice.Reset"/> passes on to the function.
/// </summary>
public interface IPciDevice : IDevice, IPowerLevels, IResetByBus
{
    PciFunction Function { get; }

    PowerLevel IPowerLevels.WantedLevel => Function.WantedLevel;

    event Action? IPowerLevels.LevelWanted
    {
        add => Function.LevelWanted += value;
        remove => Function.LevelWanted -= value;
    }

    bool IResetByBus.ResetDue => Function.ResetDue;

    event Action? IResetByBus.ResetWanted
    {
        add => Function.ResetWanted += value;
        remove => Function.ResetWanted -= value;
    }
}
