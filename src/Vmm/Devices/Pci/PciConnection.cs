using System.Globalization;
using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>Slots of a PCI bus, written as device and function: "pci:02.0".</summary>
public sealed class PciConnection : Connection
{
    /// <summary>What a PCI function is connected by; offered by the root complex.</summary>
    public static readonly PciConnection Instance = new();

    /// <summary>Offered by a port: the far end of a link, where device 0 is. Who does not say that it is there is not.</summary>
    public static readonly PciConnection Link = new();

    /// <summary>What a port of the root complex is connected by.</summary>
    public static readonly PciConnection RootPort = new();

    private PciConnection()
        : base("pci")
    {
    }

    public override string Example => this == Link ? "port0:00.0" : "pci:02.0";

    /// <summary>Function 0 of every device, as software looks for others only where there is one.</summary>
    public override IEnumerable<ulong> Places =>
        Enumerable.Range(0, PciSlot.Devices).Select(device => (ulong)new PciSlot(device, 0).Number);

    public override bool IsForAll => this != Link;

    public override bool Takes(Connection wanted) => base.Takes(wanted) && !(this == Link && wanted == RootPort);

    public override bool Has(ulong place) => this != Link || PciSlot.FromNumber((byte)place).Device == 0;

    public override bool TryParse(string text, out ulong place)
    {
        string[] parts = text.Split('.');
        place = 0;
        if (parts.Length != 2 || !byte.TryParse(parts[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte device)
            || !byte.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out byte function) || device >= PciSlot.Devices
                || function >= PciSlot.Functions)
        {
            return false;
        }

        place = new PciSlot(device, function).Number;
        return true;
    }

    public override string Format(ulong place) => PciSlot.FromNumber((byte)place).ToString();
}
