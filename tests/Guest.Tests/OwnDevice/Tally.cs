using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;

namespace WebVm.Guest.Tests.OwnDevice;

/// <summary>A port that counts what is written to it: the device of docs/adding.md.</summary>
public sealed class Tally(ushort port, byte first)
    : IDevice, IPortMapped, IPortHandler, IFirmwareVisible, IMeasured, ISavedState<TallyState>
{
    public const int PortCount = 1;

    private readonly Lock _lock = new();
    private byte _count;
    private long _writes;

    public required string Name { get; init; }

    public StateSchema<TallyState> Schema => TallyStateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(port, PortCount, this)];

    public IReadOnlyList<DeviceMetric> Metrics => [new("writes", Interlocked.Read(ref _writes))];

    public void Reset()
    {
        lock (_lock)
        {
            _count = first;
        }
    }

    public uint ReadPort(int offset, int size)
    {
        lock (_lock)
        {
            return _count;
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        lock (_lock)
        {
            _count++;
        }

        Interlocked.Increment(ref _writes);
    }

    public void Describe(FirmwareDescription firmware) =>
        firmware.Acpi.SystemBus.Add(AmlDevices.CreateHidden("TALY", "WBVM0001", new AmlIoPort(port, PortCount)));

    public TallyState Save()
    {
        lock (_lock)
        {
            return new TallyState(_count);
        }
    }

    public void Load(TallyState state)
    {
        lock (_lock)
        {
            _count = state.Count;
        }
    }
}
