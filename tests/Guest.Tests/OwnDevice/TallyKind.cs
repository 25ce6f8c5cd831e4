using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Guest.Tests.OwnDevice;

[DeviceKind("example.tally", "counts what is written to a port")]
internal sealed class TallyKind : IDeviceKind<TallySettings>
{
    public static Placement? Placement { get; } = new(PortConnection.Instance, 0x330);

    public static IEnumerable<Claim> Claims(DevicePlace at, TallySettings settings) => [Claim.Ports(at.Address, Tally.PortCount)];

    public static IDevice Create(DeviceSite site, TallySettings settings) =>
        new Tally((ushort)site.At.Address, settings.First) { Name = site.Id };
}
