using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Power.ResetRegister;

/// <summary>
/// The reset control register 0xcf9 (Intel ICH9 data sheet §13.7.5). It lies inside the PCI configuration address register, which only
/// takes 32-bit accesses; so the PCI host bridge owns the ports and hands byte accesses of this one on.
/// </summary>
public sealed class ResetControl(IMachineSignals signals) : IDevice, IPortHandler, IFirmwareVisible, ISavedState<ResetControl.State>
{
    public const ushort Port = 0xcf9;

    /// <summary>Written to <see cref="Port"/>: system reset, CPU reset.</summary>
    public const byte ResetValue = SystemReset | ResetProcessor;

    private const byte SystemReset = 1 << 1;
    private const byte ResetProcessor = 1 << 2;
    private const byte FullReset = 1 << 3;

    private volatile byte _value;

    public string Name { get; init; } = "reset-control";

    public StateSchema<State> Schema => ResetControlStateJson.Schema;

    public void Describe(FirmwareDescription firmware)
    {
        firmware.Acpi.FixedHardware.ResetPort = Port;
        firmware.Acpi.FixedHardware.ResetValue = ResetValue;
    }

    public void Reset() => _value = 0;

    public uint ReadPort(int offset, int size) => _value;

    public void WritePort(int offset, int size, uint value)
    {
        // The reset happens when bit 2 goes from 0 to 1; it does not read back as set.
        bool reset = (value & ResetProcessor) != 0;
        _value = (byte)(value & (SystemReset | FullReset));
        if (reset)
        {
            signals.Reset(ResetKind.ResetControl);
        }
    }

    public State Save() => new(_value);

    public void Load(State state) => _value = (byte)(state.Value & (SystemReset | FullReset));

    public sealed record State(byte Value);
}
