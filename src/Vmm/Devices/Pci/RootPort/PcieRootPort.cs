using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Pci.RootPort;

/// <summary>
/// A root port of PCI Express (PCI Express Base 5.0 §1.3.1): a bridge from bus 0 to a link with one device, in a slot that the guest's
/// driver runs (§6.7). What is plugged in shows as present; to be taken out it is asked for by the attention button, and the guest has let
/// it go when slot power and power indicator are off.
/// </summary>
public sealed class PcieRootPort
    : IPciDevice, IDeviceHost, IDeviceConnector, IHotPlugController, ISavedState<PcieRootPort.State>
{
    /// <summary>Physical slot numbers have 13 bits (§7.5.3.9).</summary>
    internal const int MaximumSlot = (1 << 13) - 1;

    private readonly PciBridge _bridge;
    private readonly RootPortCapability _port;

    /// <param name="number">Of the port: unique in the root complex (§7.5.3.6).</param>
    /// <param name="slot">What people call the slot.</param>
    public PcieRootPort(byte number, int slot, bool hotPlug)
    {
        // Red Hat's identity for a generic root port: nothing in it needs a driver or a quirk.
        var identity = new PciIdentity { Vendor = 0x1b36, Device = 0x000c, ClassCode = 0x060400, InterruptPin = 1 };
        _bridge = new PciBridge(identity) { HasHotPlug = hotPlug };
        _port = Function.Add(new RootPortCapability(_bridge, number, slot));
        Function.AddPowerManagement();
        Function.AddMsi(1);
    }

    public required string Name { get; init; }

    public PciFunction Function => _bridge.Function;

    /// <summary>The bus behind the port.</summary>
    public PciBus SecondaryBus => _bridge.SecondaryBus;

    public StateSchema<State> Schema => PcieRootPortStateJson.Schema;

    public void Attach(IDevice device, ulong place) => SecondaryBus.Attach(device, place);

    public void Connect(IDevice device)
    {
        SecondaryBus.Connect(device);
        if (SecondaryBus.Has(device))
        {
            _port.LookIntoSlot();
        }
    }

    public void Disconnect(IDevice device) => SecondaryBus.Disconnect(device);

    public void Sleep(IDevice device) => SecondaryBus.Sleep(device);

    public void Wake(IDevice device) => SecondaryBus.Wake(device);

    public void Remove(IDevice device)
    {
        if (SecondaryBus.Remove(device))
        {
            _port.LookIntoSlot();
        }
    }

    public bool Governs(IDevice device) => _bridge.HasHotPlug && SecondaryBus.Has(device);

    /// <summary>A slot takes one device, which is found by its function 0.</summary>
    public string? RefusalOf(ulong place) => !_bridge.HasHotPlug ? $"'{Name}' takes no device while the machine runs: its hotPlug is off"
        : !SecondaryBus.IsEmpty ? $"there is a device in '{Name}' already"
        : place != 0 ? $"a device that comes while the machine runs is function 0 of '{Name}'"
        : null;

    public void AskToEject(IDevice device, Action<RemovalAnswer> answer) => _port.Ask(answer);

    public void Reset() => Function.Reset();

    public State Save() => new(Function.Save());

    public void Load(State state) => Function.Load(state.Function);

    public sealed record State(PciFunctionState Function);
}
