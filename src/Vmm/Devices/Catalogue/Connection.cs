using System.Globalization;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>A way in which devices are connected: how its places are written, and in which order they are given away.</summary>
/// <param name="name">Such as "pci"; two ends with the same connection fit.</param>
public abstract class Connection(string name)
{
    public string Name { get; } = name;

    /// <summary>The bus is the machine's own, and goes by the connection's name; else it is a device that offers the connection.</summary>
    public virtual bool IsOfMachine => false;

    /// <summary>An example of a place, for people.</summary>
    public abstract string Example { get; }

    /// <summary>Places for devices that do not say where they are.</summary>
    public abstract IEnumerable<ulong> Places { get; }

    /// <summary>Devices that do not say where they are may come here.</summary>
    public virtual bool IsForAll => true;

    /// <summary>Whether what is offered is what a device is connected by.</summary>
    public virtual bool Takes(Connection wanted) => wanted.Name == Name;

    /// <summary>Whether what is offered has the place.</summary>
    public virtual bool Has(ulong place) => true;

    public abstract bool TryParse(string text, out ulong place);

    public abstract string Format(ulong place);

    /// <summary>What a device takes by being there, beside what its kind claims.</summary>
    public virtual IEnumerable<Claim> ClaimsOf(DevicePlace place) =>
        IsOfMachine ? [] : [new Claim($"slots of '{place.Bus}'", place.Address, 1, Format)];
}

/// <summary>Registers at ports of the machine, written in hexadecimal.</summary>
public sealed class PortConnection : Connection
{
    public static readonly PortConnection Instance = new();

    private PortConnection()
        : base("port")
    {
    }

    public override bool IsOfMachine => true;

    public override string Example => "port:3f8";

    public override IEnumerable<ulong> Places => [];

    public override bool TryParse(string text, out ulong place)
    {
        bool parsed = ushort.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort port);
        place = port;
        return parsed;
    }

    public override string Format(ulong place) => place.ToString("x", CultureInfo.InvariantCulture);
}

/// <summary>Registers at guest physical addresses, written in hexadecimal.</summary>
public sealed class MmioConnection : Connection
{
    public static readonly MmioConnection Instance = new();

    private MmioConnection()
        : base("mmio")
    {
    }

    public override bool IsOfMachine => true;

    public override string Example => "mmio:fed00000";

    public override IEnumerable<ulong> Places => [];

    public override bool TryParse(string text, out ulong place) =>
        ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out place)
        && place < Memory.GuestMemory.AddressSpaceSize;

    public override string Format(ulong place) => place.ToString("x", CultureInfo.InvariantCulture);
}
