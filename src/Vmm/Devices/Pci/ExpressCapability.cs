namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The PCI Express capability of an endpoint (PCI Express Base 5.0 §7.5.3): integrated in the root complex, without a link, or behind a
/// port, with one.
/// </summary>
internal sealed class ExpressCapability() : PciCapability(PciCapabilityId.Express, Length)
{
    public const int Length = 60;
    public const int Capabilities = 2;
    public const int DeviceCapabilities = 4;
    public const int DeviceControl = 8;
    public const int DeviceStatus = 10;
    public const int LinkCapabilities = 12;
    public const int LinkControl = 16;
    public const int LinkStatus = 18;
    public const int DeviceControl2 = 40;
    public const int LinkCapabilities2 = 44;

    public const ushort Version2 = 2;
    public const uint RoleBasedErrorReporting = 1 << 15;

    /// <summary>Power-on: relaxed ordering and no-snoop enabled, 512-byte read requests (§7.5.3.4).</summary>
    public const ushort DeviceControlAtPowerOn = 0x2810;

    /// <summary>Error reporting, relaxed ordering, payload and request sizes, no-snoop: kept, without effect.</summary>
    public const ushort DeviceControlWritable = 0x78ff;
    public const ushort DeviceStatusClearable = 0x000f;

    /// <summary>One lane of 2.5 GT/s; no ASPM, which is optional (§7.5.3.6).</summary>
    public const uint Link = 1 | (1 << 4) | (1 << 22);

    /// <summary>What the link runs at (§7.5.3.8).</summary>
    public const ushort LinkRate = 1 | (1 << 4);

    /// <summary>Speeds that the link knows (§7.5.3.18).</summary>
    public const uint LinkSpeeds = 1 << 1;

    private const ushort RootComplexIntegratedEndpoint = 9 << 4;
    private const ushort Endpoint = 0 << 4;

    /// <summary>ASPM, read completion boundary, common clock, extended synch: kept, without effect (§7.5.3.7).</summary>
    private const ushort LinkControlWritable = 0x00cb;

    protected override void Define()
    {
        Config.Define(Offset + Capabilities, 2, Version2 | RootComplexIntegratedEndpoint);
        Config.Define(Offset + DeviceCapabilities, 4, RoleBasedErrorReporting);
        Config.Define(Offset + DeviceControl, 2, DeviceControlAtPowerOn, writable: DeviceControlWritable);
        Config.Define(Offset + DeviceStatus, 2, 0, clearable: DeviceStatusClearable);
        Config.Define(Offset + DeviceControl2, 2, 0, writable: 0x001f);
    }

    /// <summary>The function turns out to be behind a port.</summary>
    public void BeBehindLink()
    {
        Config.Define(Offset + Capabilities, 2, Version2 | Endpoint);
        Config.Define(Offset + LinkCapabilities, 4, Link);
        Config.Define(Offset + LinkControl, 2, 0, writable: LinkControlWritable);
        Config.Define(Offset + LinkStatus, 2, LinkRate);
        Config.Define(Offset + LinkCapabilities2, 4, LinkSpeeds);
    }
}
