using WebVm.Vmm.Settings;

namespace WebVm.Guest.Tests.OwnDevice;

public sealed record TallySettings
{
    [Setting("what it counts from", Maximum = 200)]
    public byte First { get; init; }
}
