using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>
/// A kind of device as the catalogue has it. The build makes one of every <see cref="IDeviceKind{TSettings}"/>; kinds that are found at run
/// time (a plug-in's) are another subclass.
/// </summary>
public abstract class DeviceKind(string name, string help, params IReadOnlyList<Setting> settings)
{
    public string Name { get; } = name;

    public string Help { get; } = help;

    public IReadOnlyList<Setting> Settings { get; } = settings;

    public abstract Placement? Placement { get; }

    public abstract Connection? Offers { get; }

    public abstract IEnumerable<ulong> OwnPlaces { get; }

    /// <summary>Settings of JSON. What is wrong becomes a fault of the object.</summary>
    public abstract object Read(SpecObject json);

    /// <summary>All settings, defaults too.</summary>
    public abstract JsonObject Write(object settings);

    public abstract IEnumerable<(string Setting, string Message)> Check(object settings);

    public abstract IEnumerable<Claim> Claims(DevicePlace at, object settings);

    public abstract IDevice Create(DeviceSite site, object settings);
}

/// <summary>A kind that is compiled in. Made by generated code.</summary>
public sealed class DeviceKind<TKind, TSettings>(
    string name, string help, IReadOnlyList<Setting> settings, Func<SpecObject, TSettings> read,
    Func<TSettings, JsonObject> write) : DeviceKind(name, help, settings)
    where TKind : IDeviceKind<TSettings>
    where TSettings : class
{
    public override Placement? Placement => TKind.Placement;

    public override Connection? Offers => TKind.Offers;

    public override IEnumerable<ulong> OwnPlaces => TKind.OwnPlaces;

    public override object Read(SpecObject json)
    {
        var result = read(json);
        json.RefuseOthers();
        return result;
    }

    public override JsonObject Write(object settings) => write((TSettings)settings);

    public override IEnumerable<(string Setting, string Message)> Check(object settings) => TKind.Check((TSettings)settings);

    public override IEnumerable<Claim> Claims(DevicePlace at, object settings) => TKind.Claims(at, (TSettings)settings);

    public override IDevice Create(DeviceSite site, object settings) => TKind.Create(site, (TSettings)settings);
}
