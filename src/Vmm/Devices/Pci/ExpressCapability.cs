namespace WebVm.Vmm.Devices.Pci;

/// <summary>The PCI Express capability of an endpoint integrated in the root complex (PCI Express Base 5.0 §7.5.3): it has no link.</summary>
internal static class ExpressCapability
{
    private const int Length = 60;
    private const int Capabilities = 2;
    private const int DeviceCapabilities = 4;
    private const int DeviceControl = 8;
    private const int DeviceStatus = 10;
    private const int DeviceControl2 = 40;
    private const ushort Version2 = 2;
    private const ushort RootComplexIntegratedEndpoint = 9 << 4;
    private const uint RoleBasedErrorReporting = 1 << 15;

    /// <summary>Error reporting, relaxed ordering, payload and request sizes, no-snoop: kept, without effect.</summary>
    private const ushort DeviceControlWritable = 0x78ff;
    private const ushort DeviceStatusClearable = 0x000f;

    public static void Add(PciConfigSpace config)
    {
        int offset = config.AddCapability(PciCapabilityId.Express, Length);
        config.Define(offset + Capabilities, 2, Version2 | RootComplexIntegratedEndpoint);
        config.Define(offset + DeviceCapabilities, 4, RoleBasedErrorReporting);
        // Power-on: relaxed ordering and no-snoop enabled, 512-byte read requests (§7.5.3.4).
        config.Define(offset + DeviceControl, 2, 0x2810, writable: DeviceControlWritable);
        config.Define(offset + DeviceStatus, 2, 0, clearable: DeviceStatusClearable);
        config.Define(offset + DeviceControl2, 2, 0, writable: 0x001f);
    }
}
