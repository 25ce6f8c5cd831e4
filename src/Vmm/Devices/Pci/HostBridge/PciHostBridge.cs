using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>
/// The root complex: bus 0, which all other buses hang on, both ways into configuration space (ports 0xcf8/0xcfc of PCI Local Bus 3.0
/// §3.2.2.3.2, and ECAM of PCI Express Base 5.0 §7.2.2), the memory and port windows behind it, and the wiring of INTx. It decides which
/// addresses are RAM's and which are PCI's.
/// </summary>
public sealed class PciHostBridge
    : IPciDevice, IDeviceHost, IDeviceConnector, IPortMapped, IMemoryMapped, IAddressMap, IFirmwareVisible, IFirmwareSetUp,
        ISavedState<PciHostBridge.State>
{
    public const ushort ConfigAddress = 0xcf8;

    internal const int ConfigPorts = 8;
    private const int AddressPort = 0;
    private const int ResetPort = 1;
    private const int DataPort = 4;
    private const uint ConfigEnable = 1u << 31;

    private readonly AddressDecoder _decoder;

    /// <summary>
    /// What the map is made of; null for a bridge without such registers, whose map is <see cref="PlatformMap.Direct"/>, or that of a
    /// state.
    /// </summary>
    private readonly MemoryControllerHub? _hub;
    private uint _configAddress;

    /// <param name="intx">The four lines that INTx# is wired to: GSI <see cref="PciInterrupts.FirstGsi"/> and the three after it.</param>
    /// <param name="reset">The reset control register, which lies among the configuration ports.</param>
    /// <param name="memory">With RAM mapped as <see cref="PlatformMap.Direct"/> has it.</param>
    public PciHostBridge(
        SystemBus bus,
        GuestMemory memory,
        IInterruptRouter router,
        IReadOnlyList<InterruptLine> intx,
        IPortHandler reset,
        HostBridgeChipset chipset = HostBridgeChipset.Generic)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(intx.Count, PciInterrupts.Pins);
        var windows = new PciWindows(bus, memory, PlatformMap.Direct);
        var ram = new SystemRam(memory, PlatformMap.Direct);
        RootBus = new PciBus(new PciWiring(windows, router, intx));
        _decoder = new AddressDecoder(bus, windows, ram, new EcamHandler(this)) { Root = RootBus };
        Function = new PciFunction(IdentityOf(chipset));
        if (chipset == HostBridgeChipset.Q35)
        {
            _hub = Function.Add(new MemoryControllerHub(ram, FollowRegisters));
            LowMemoryEndAtPowerOn = _hub.LowEndAtPowerOn;
            var shadow = new GuestPhysicalAddress(LegacySegments.Shadow);
            MmioWindows = [new MmioWindow(shadow, LegacySegments.End - LegacySegments.Shadow, ram)];
            FollowRegisters();
        }

        PortWindows = [new PortWindow(ConfigAddress, ConfigPorts, new ConfigPortHandler(this, reset))];
        Add(new PciSlot(0, 0), Function);
    }

    public string Name { get; init; } = "pci";

    public StateSchema<State> Schema => PciHostBridgeStateJson.Schema;

    public PciFunction Function { get; }

    public PciBus RootBus { get; }

    public IReadOnlyList<PortWindow> PortWindows { get; }

    /// <summary>The window into configuration space is not among them: it moves.</summary>
    public IReadOnlyList<MmioWindow> MmioWindows { get; } = [];

    public PlatformMap Map => _decoder.Map;

    public bool IsProgrammable => _hub is not null;

    /// <summary>Where RAM below 4 GiB ends before firmware has done anything.</summary>
    internal ulong LowMemoryEndAtPowerOn { get; } = PlatformMap.Direct.LowMemoryEnd;

    /// <summary>Puts a function into a slot of bus 0. The guest sees it once its device is started.</summary>
    public void Add(PciSlot slot, PciFunction function) => RootBus.Add(slot, function);

    public void Attach(IDevice device, ulong place) => RootBus.Attach(device, place);

    public void SetUp()
    {
        if (_hub is not null)
        {
            MemoryControllerHub.SetUpDirect(Function);
        }

        PciResources.Assign(RootBus);
    }

    public void Describe(FirmwareDescription firmware) => PciRootDescription.AddTo(firmware.Acpi, RootBus, Map);

    public void Connect(IDevice device)
    {
        RootBus.Connect(device);
        if (device == this)
        {
            _decoder.Connect(Name);
        }
    }

    public void Disconnect(IDevice device)
    {
        if (device == this)
        {
            _decoder.Disconnect();
        }

        RootBus.Disconnect(device);
    }

    public void Sleep(IDevice device) => RootBus.Sleep(device);

    public void Wake(IDevice device) => RootBus.Wake(device);

    public void Remove(IDevice device) => RootBus.Remove(device);

    public void Reset()
    {
        Volatile.Write(ref _configAddress, 0);
        Function.Reset();
        if (_hub is null)
        {
            Take(PlatformMap.Direct);
        }
    }

    public State Save() => new(Volatile.Read(ref _configAddress), Function.Save(), _hub is null ? Map : null);

    public void Load(State state)
    {
        if (state.Map is null == _hub is null)
        {
            throw new InvalidDataException(
                _hub is null
                    ? "The saved host bridge has no map of addresses."
                    : "The saved host bridge has a map of addresses beside its registers.");
        }

        if (state.Map?.Fault() is { } fault)
        {
            throw new InvalidDataException($"The saved map of addresses makes no sense: {fault}.");
        }

        Function.Load(state.Function);
        Volatile.Write(ref _configAddress, state.ConfigAddress);
        if (state.Map is { } map)
        {
            Take(map);
        }
    }

    private void FollowRegisters() => _decoder.Apply(_hub!.Read);

    private void Take(PlatformMap map) => _decoder.Apply(() => (map, LegacySegments.AllMemory));

    private static PciIdentity IdentityOf(HostBridgeChipset chipset) => chipset switch
    {
        // Firmware for virtual machines knows the chipset by this device, and QEMU's hardware by the subsystem.
        HostBridgeChipset.Q35 =>
            new() { Vendor = 0x8086, Device = 0x29c0, ClassCode = 0x060000, SubsystemVendor = 0x1af4, SubsystemDevice = 0x1100 },

        // Red Hat's identity for a generic PCI Express host bridge: nothing in it needs a driver or a quirk.
        _ => new() { Vendor = 0x1b36, Device = 0x0008, ClassCode = 0x060000, SubsystemVendor = 0x1af4, SubsystemDevice = 0x1100 },
    };

    /// <summary>Bus, slot and register of an access; nobody answers where no function is.</summary>
    private uint ReadConfig(int bus, byte slot, int register, int size) =>
        RootBus.Route(bus, slot) is { } function ? function.ReadConfig(register, size) : (uint)OpenBus.Read(size);

    private void WriteConfig(int bus, byte slot, int register, int size, uint value) =>
        RootBus.Route(bus, slot)?.WriteConfig(register, size, value);

    /// <param name="Map">Null where the function's registers say it.</param>
    public sealed record State(uint ConfigAddress, PciFunctionState Function, PlatformMap? Map);

    private sealed class ConfigPortHandler(PciHostBridge bridge, IPortHandler reset) : IPortHandler
    {
        public uint ReadPort(int offset, int size)
        {
            switch (offset, size)
            {
                case (AddressPort, 4):
                    return Volatile.Read(ref bridge._configAddress);
                case (ResetPort, 1):
                    return reset.ReadPort(0, 1);
                default:
                    uint address = Volatile.Read(ref bridge._configAddress);
                    return offset >= DataPort && (address & ConfigEnable) != 0
                        ? bridge.ReadConfig(
                            (int)(address >> 16) & 0xff, (byte)(address >> 8), (int)(address & 0xfc) + offset - DataPort, size)
                        : (uint)OpenBus.Read(size);
            }
        }

        public void WritePort(int offset, int size, uint value)
        {
            switch (offset, size)
            {
                case (AddressPort, 4):
                    Volatile.Write(ref bridge._configAddress, value & 0x80ff_fffc);
                    break;
                case (ResetPort, 1):
                    reset.WritePort(0, 1, value);
                    break;
                default:
                    uint address = Volatile.Read(ref bridge._configAddress);
                    if (offset >= DataPort && (address & ConfigEnable) != 0)
                    {
                        bridge.WriteConfig(
                            (int)(address >> 16) & 0xff, (byte)(address >> 8), (int)(address & 0xfc) + offset - DataPort, size, value);
                    }

                    break;
            }
        }
    }

    private sealed class EcamHandler(PciHostBridge bridge) : IMmioHandler
    {
        public ulong ReadMmio(ulong offset, int size) =>
            bridge.ReadConfig((int)(offset >> 20), (byte)(offset >> 12), (int)(offset & 0xfff), size);

        public void WriteMmio(ulong offset, int size, ulong value) =>
            bridge.WriteConfig((int)(offset >> 20), (byte)(offset >> 12), (int)(offset & 0xfff), size, (uint)value);
    }
}
