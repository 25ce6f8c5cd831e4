using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Pci.RootPort;

public sealed record PcieRootPortSettings
{
    [Setting("whether devices come and go while the machine runs, by the guest's own driver")]
    public bool HotPlug { get; init; } = true;

    [Setting("number that people know the slot by; that of the place unless given", Minimum = 0, Maximum = PcieRootPort.MaximumSlot)]
    public int? Slot { get; init; }
}
