using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Vmm.Commands;

/// <summary>What <c>probe --devices --json</c> prints of each kind.</summary>
internal static class DeviceKindJson
{
    public static JsonObject Write(DeviceKind kind)
    {
        var json = new JsonObject { ["kind"] = kind.Name, ["help"] = kind.Help };
        if (kind.Placement is { } placement)
        {
            json["at"] = new JsonObject
            {
                ["connection"] = placement.Connection.Name,
                ["example"] = placement.Connection.Example,
                ["preferred"] = new JsonArray(
                    [.. placement.Preferred.Select(place => JsonValue.Create(placement.Connection.Format(place)))]),
            };
        }

        if (kind.Offers is { } offers)
        {
            json["offers"] = offers.Name;
        }

        json["settings"] = new JsonArray([.. kind.Settings.Select(setting => new JsonObject
        {
            ["name"] = setting.Name,
            ["help"] = setting.Help,
            ["takes"] = setting.Takes,
            ["required"] = setting.IsRequired,
            ["default"] = setting.DefaultJson,
        })]);
        return json;
    }
}
