using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Profiles;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>All devices of a spec: its list or that of the profile, and what the short forms stand for.</summary>
internal static class DeviceExpansion
{
    public static IReadOnlyList<DeviceEntry> Of(MachineSpec spec)
    {
        List<DeviceEntry> entries = spec.Devices is { } devices
            ? [.. devices.Select((device, index) => new DeviceEntry(device, $"/devices/{index}"))]
            : [.. Profile.Pc.Select(device => new DeviceEntry(device, "/devices", IsShort: true))];
        if (spec.Hpet)
        {
            entries.Add(new(new DeviceSpec("hpet", "timer.hpet"), "/hpet", IsShort: true));
        }

        if (spec.Display is { } display)
        {
            entries.Add(
                new(new DeviceSpec("display", "display.bochs").WithSettings(
                    $$"""{"width":{{display.Width}},"height":{{display.Height}}}"""), "/display", IsShort: true));
        }

        return entries;
    }
}
