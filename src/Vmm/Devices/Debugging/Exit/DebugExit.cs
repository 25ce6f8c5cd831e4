using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Debugging.Exit;

/// <summary>isa-debug-exit: a test guest writes a value and the VMM ends with (value &lt;&lt; 1) | 1, so never with 0.</summary>
public sealed class DebugExit(IMachineSignals signals) : IDevice, IPortMapped, IPortHandler
{
    public const ushort Port = 0xf4;

    internal const int PortCount = 4;

    public string Name { get; init; } = "debug-exit";

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(Port, PortCount, this)];

    public void Reset()
    {
    }

    public uint ReadPort(int offset, int size) => 0;

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 0)
        {
            signals.DebugExit((int)((value << 1) | 1));
        }
    }
}
