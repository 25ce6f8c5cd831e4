using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>A PCI device with one BAR of each kind, INTA#, MSI or MSI-X.</summary>
internal sealed class TestPciDevice : IPciDevice, ISavedState<PciFunctionState>, IMmioHandler, IPortHandler
{
    public TestPciDevice(string name, GuestMemory memory, byte pin = 1, int msi = 0, int msix = 0)
    {
        Name = name;
        Region = memory.CreateRegion(name, GuestMemoryKind.Device, 1 << 16);
        Function = new PciFunction(new PciIdentity { Vendor = 0x1234, Device = 0x5678, ClassCode = 0xff0000, InterruptPin = pin });
        Function.AddBar(0, PciBar.ForMemory(Region));
        Function.AddBar(1, PciBar.ForPorts(32, this));
        Function.AddBar(2, PciBar.ForRegisters(0x1000, this, PciBarKind.Memory64));
        if (msi > 0)
        {
            Function.AddMsi(msi);
        }

        if (msix > 0)
        {
            Function.AddMsiX(msix, 4);
        }

        Function.AddExpressCapability();
    }

    public string Name { get; }

    public GuestMemoryRegion Region { get; }

    public PciFunction Function { get; }

    public StateSchema<PciFunctionState> Schema { get; } = new("test-pci", StateJson.Of<PciFunctionState>());

    public void Reset() => Function.Reset();

    public PciFunctionState Save() => Function.Save();

    public void Load(PciFunctionState state) => Function.Load(state);

    public uint ReadPort(int offset, int size) => 0x10u + (uint)offset;

    public void WritePort(int offset, int size, uint value)
    {
    }

    public ulong ReadMmio(ulong offset, int size) => 0x20 + offset;

    public void WriteMmio(ulong offset, int size, ulong value)
    {
    }
}
