using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

public sealed record PciHostBridgeSettings
{
    [Setting("what it is: generic, whose map of addresses nothing changes, or q35, whose registers firmware sets it up by")]
    public HostBridgeChipset Chipset { get; init; } = HostBridgeChipset.Generic;
}
