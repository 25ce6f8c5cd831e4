using WebVm.Vmm.Acpi;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>What devices tell firmware of themselves: it goes into the tables of the machine, in the devices' order.</summary>
public sealed class FirmwareDescription
{
    /// <summary>Ports of serial lines that the BIOS data area can name.</summary>
    private readonly List<ushort> _serialPorts = [];

    public AcpiDescription Acpi { get; init; } = new();

    public IReadOnlyList<ushort> SerialPorts => _serialPorts;

    /// <summary>There is a mouse on the keyboard controller.</summary>
    public bool PointingDevice { get; set; }

    /// <summary>Adds a serial port.</summary>
    /// <returns>Its number from 1 on, as in COM1.</returns>
    public int AddSerialPort(ushort port)
    {
        _serialPorts.Add(port);
        return _serialPorts.Count;
    }

    /// <summary>All that these devices tell.</summary>
    /// <param name="nodes">NUMA nodes of the machine; 0 for one that does not speak of NUMA.</param>
    public static FirmwareDescription Of(IEnumerable<IFirmwareVisible> devices, int nodes)
    {
        var description = new FirmwareDescription { Acpi = new AcpiDescription { NodeCount = nodes } };
        foreach (var device in devices)
        {
            device.Describe(description);
        }

        return description;
    }
}
