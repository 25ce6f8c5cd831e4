namespace WebVm.Vmm.Devices.Pci;

/// <summary>The fixed part of a function's configuration header (PCI Local Bus 3.0 §6.2.1, §6.2.4).</summary>
public sealed record PciIdentity
{
    public required ushort Vendor { get; init; }

    public required ushort Device { get; init; }

    /// <summary>Base class, subclass and programming interface: 0xBBSSPP.</summary>
    public required uint ClassCode { get; init; }

    public byte Revision { get; init; }

    public ushort SubsystemVendor { get; init; }

    public ushort SubsystemDevice { get; init; }

    /// <summary>INTA# is 1; 0 for a function without an interrupt pin.</summary>
    public byte InterruptPin { get; init; }
}
