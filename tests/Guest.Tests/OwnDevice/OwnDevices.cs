using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Guest.Tests.OwnDevice;

/// <summary>The kinds of device that are in this assembly.</summary>
internal static partial class OwnDevices
{
    [DeviceKinds]
    public static partial IReadOnlyList<DeviceKind> Kinds { get; }
}
