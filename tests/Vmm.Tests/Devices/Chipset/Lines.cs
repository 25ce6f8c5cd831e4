using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Tests.Devices.Chipset;

/// <summary>Notes what devices do with their interrupt lines.</summary>
internal sealed class Lines : IInterruptRouter
{
    private readonly Dictionary<int, bool> _levels = [];
    private readonly Dictionary<int, int> _rises = [];

    public bool Asserted => _levels.ContainsValue(true);

    public int Rises => _rises.Values.Sum();

    public bool Level(int gsi) => _levels.GetValueOrDefault(gsi);

    public int RisesOf(int gsi) => _rises.GetValueOrDefault(gsi);

    public void SetLine(int gsi, bool asserted)
    {
        _levels[gsi] = asserted;
        _rises[gsi] = _rises.GetValueOrDefault(gsi) + (asserted ? 1 : 0);
    }

    public void SendMsi(MsiMessage message)
    {
    }
}
