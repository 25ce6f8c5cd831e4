using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Wires;

/// <summary>
/// From the PCI configuration ports to the reset control register that lies among them; nothing answers where there is none.
/// </summary>
public sealed class ResetRegisterWire : IPortHandler
{
    public IPortHandler? Register { get; set; }

    public uint ReadPort(int offset, int size) => Register?.ReadPort(offset, size) ?? (uint)OpenBus.Read(size);

    public void WritePort(int offset, int size, uint value) => Register?.WritePort(offset, size, value);
}
