namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>Where a device is.</summary>
/// <param name="Bus">"port" or "mmio", which are the machine's own, or the id of the device that is the bus.</param>
/// <param name="Address">A port, an address or a slot, as the bus counts them.</param>
public readonly record struct DevicePlace(string Bus, ulong Address);
