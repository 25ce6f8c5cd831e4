using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>The settings of a kind that has none.</summary>
public sealed record NoSettings;

/// <summary>
/// What a kind of device tells of itself: where it may be, what it takes, how it is made. Never instantiated. Its settings are
/// properties of <typeparamref name="TSettings"/> with a <see cref="Settings.SettingAttribute"/>.
/// </summary>
public interface IDeviceKind<TSettings>
    where TSettings : class
{
    /// <summary>Where its devices may be; null for a kind that has one place.</summary>
    static virtual Placement? Placement => null;

    /// <summary>What other devices may be connected to it by; its devices are <see cref="IDeviceHost"/>.</summary>
    static virtual Connection? Offers => null;

    /// <summary>Of the places that it offers, those that it has itself.</summary>
    static virtual IEnumerable<ulong> OwnPlaces => [];

    /// <summary>What a device takes, beside its slot.</summary>
    /// <param name="at">Its place; the default value for a kind that has one place.</param>
    static virtual IEnumerable<Claim> Claims(DevicePlace at, TSettings settings) => [];

    /// <summary>What is wrong with settings that are within their limits each: a setting's name and what would be right.</summary>
    static virtual IEnumerable<(string Setting, string Message)> Check(TSettings settings) => [];

    /// <summary>Makes a device, not yet in use, named <see cref="DeviceSite.Id"/>.</summary>
    static abstract IDevice Create(DeviceSite site, TSettings settings);
}
