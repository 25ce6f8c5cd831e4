using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Wires;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Power.SystemControl;

/// <summary>System control port A (0x92) of the PS/2: bit 0 resets, bit 1 gates A20.</summary>
public sealed class SystemControlPort(A20Gate a20, IMachineSignals signals)
    : IDevice, IPortMapped, IPortHandler, ISavedState<SystemControlPort.State>
{
    public const ushort Port = 0x92;

    private const byte FastReset = 1 << 0;
    private const byte A20 = 1 << 1;

    private volatile byte _value;

    public string Name { get; init; } = "port92";

    public StateSchema<State> Schema => SystemControlPortStateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(Port, 1, this)];

    public void Reset()
    {
        _value = 0;
        a20.Enabled = true;
    }

    public uint ReadPort(int offset, int size) => (uint)((_value & ~A20) | (a20.Enabled ? A20 : 0));

    public void WritePort(int offset, int size, uint value)
    {
        bool reset = (value & FastReset) != 0 && (_value & FastReset) == 0;
        _value = (byte)value;
        a20.Enabled = (value & A20) != 0;
        if (reset)
        {
            signals.Reset(ResetKind.SystemControlPort);
        }
    }

    public State Save() => new(_value, a20.Enabled);

    public void Load(State state)
    {
        _value = state.Value;
        a20.Enabled = state.A20Enabled;
    }

    public sealed record State(byte Value, bool A20Enabled);
}
