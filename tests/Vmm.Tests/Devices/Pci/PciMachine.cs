using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.Devices.Power.ResetRegister;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>A root complex with ports, and devices on bus 0 and behind ports, driven by tests instead of a guest.</summary>
internal sealed class PciMachine : IDisposable
{
    /// <param name="ram">Bytes; none unless given.</param>
    /// <param name="deadline">For devices to come to rest; they may be lost then.</param>
    public PciMachine(HostBridgeChipset chipset = HostBridgeChipset.Generic, ulong ram = 0, TimeSpan? deadline = null)
    {
        if (ram > 0)
        {
            MemoryLayout.Populate(Memory, MemoryLayout.Of(new MachineSpec { Memory = ram }, PlatformMap.DirectLowMemoryEnd));
        }

        Bridge = new PciHostBridge(
            Bus, Memory, Router, [.. Enumerable.Range(16, 4).Select(Router.Line)], new ResetControl(new RecordingSignals()),
            chipset) { Name = "pci" };
        Tree = deadline is { } limit ? new DeviceTree(new BusConnector(Bus)) { Deadline = limit } : new DeviceTree(new BusConnector(Bus));
        Tree.DeviceFailed += failure => Assert.True(deadline is not null, failure.ToString());
        Tree.Add(Bridge, [], [Bridge]);
    }

    public GuestMemory Memory { get; } = new();

    public SystemBus Bus { get; } = new();

    public RecordingRouter Router { get; } = new();

    public PciHostBridge Bridge { get; }

    public DeviceTree Tree { get; }

    public void Dispose()
    {
        Tree.Dispose();
        Memory.Dispose();
    }

    /// <summary>A root port in function 0 of a device of bus 0.</summary>
    public PcieRootPort AddPort(int slot, bool hotPlug = true, byte function = 0)
    {
        var place = new PciSlot(slot, function);
        var port = new PcieRootPort(place.Number, place.Number, hotPlug) { Name = $"port{slot}.{function}" };
        Bridge.Attach(port, place.Number);
        Tree.Add(port, [Bridge.Name], [Bridge, port]);
        return port;
    }

    public TestPciDevice AddBehind(PcieRootPort port, string name = "behind", int msi = 0, int function = 0)
    {
        var device = new TestPciDevice(name, Memory, msi: msi);
        AddBehind(port, device, function);
        return device;
    }

    public DeviceNode AddBehind(PcieRootPort port, IPciDevice device, int function = 0)
    {
        port.Attach(device, new PciSlot(0, function).Number);
        return Tree.Add(device, [port.Name], [port]);
    }

    public TestPciDevice AddOnRoot(int slot, string name = "root")
    {
        var device = new TestPciDevice(name, Memory);
        Bridge.Attach(device, new PciSlot(slot, 0).Number);
        Tree.Add(device, [Bridge.Name], [Bridge]);
        return device;
    }

    /// <param name="assign">As firmware does.</param>
    public void Start(bool assign = true)
    {
        Tree.PowerUp();
        if (assign)
        {
            PciResources.Assign(Bridge.RootBus);
        }

        Tree.Start();
    }

    public uint Read(int bus, int device, int register, int size = 4, int function = 0) =>
        (uint)Bus.ReadMmio(Ecam(bus, device, function, register), size);

    public void Write(int bus, int device, int register, int size, uint value, int function = 0) =>
        Bus.WriteMmio(Ecam(bus, device, function, register), size, value);

    /// <summary>By ports 0xcf8 and 0xcfc.</summary>
    public uint Legacy(int bus, int device, int register)
    {
        Bus.WritePort(0xcf8, 4, 0x8000_0000u | ((uint)bus << 16) | ((uint)device << 11) | (uint)register);
        return Bus.ReadPort(0xcfc, 4);
    }

    public void WriteLegacy(int bus, int device, int register, int size, uint value)
    {
        Bus.WritePort(0xcf8, 4, 0x8000_0000u | ((uint)bus << 16) | ((uint)device << 11) | ((uint)register & 0xfc));
        Bus.WritePort((ushort)(0xcfc + (register & 3)), size, value);
    }

    /// <summary>Where a capability begins; 0 for none. Walks as far as a guest would that trusts nobody.</summary>
    public int Capability(int bus, int device, byte id)
    {
        int at = (int)Read(bus, device, 0x34, 1);
        for (int steps = 0; at != 0; steps++)
        {
            Assert.InRange(steps, 0, 47);
            Assert.InRange(at, 0x40, 0xfc);
            if (Read(bus, device, at, 1) == id)
            {
                return at;
            }

            at = (int)Read(bus, device, at + 1, 1);
        }

        return 0;
    }

    private static GuestPhysicalAddress Ecam(int bus, int device, int function, int register) =>
        new(PlatformMap.Direct.Ecam!.Base + ((ulong)bus << 20) + ((ulong)device << 15) + ((ulong)function << 12) + (ulong)register);
}
