using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Vmm.Devices.BuiltIn;

/// <summary>The kinds of device that this build has.</summary>
public static partial class BuiltInDevices
{
    public static DeviceCatalogue Catalogue { get; } = new(Kinds);

    [DeviceKinds]
    public static partial IReadOnlyList<DeviceKind> Kinds { get; }
}
