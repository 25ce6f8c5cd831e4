using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>Interrupt controllers that only remember.</summary>
internal sealed class RecordingRouter : IInterruptRouter
{
    private readonly bool[] _levels = new bool[64];
    private readonly Lock _lock = new();

    public List<MsiMessage> Messages { get; } = [];

    public int Edges { get; private set; }

    public bool this[int gsi] => _levels[gsi];

    public InterruptLine Line(int gsi) => new(this, gsi);

    public void SetLine(int gsi, bool asserted)
    {
        lock (_lock)
        {
            Edges += asserted && !_levels[gsi] ? 1 : 0;
            _levels[gsi] = asserted;
        }
    }

    public void SendMsi(MsiMessage message)
    {
        lock (_lock)
        {
            Messages.Add(message);
        }
    }
}
