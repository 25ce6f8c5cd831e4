namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>What the host bridge is, and by which registers its map of addresses is set.</summary>
public enum HostBridgeChipset
{
    /// <summary>A host bridge without registers of its own. The map is what direct boot has.</summary>
    Generic,

    /// <summary>Intel's Q35 memory controller hub, which SeaBIOS and UEFI know.</summary>
    Q35,
}
