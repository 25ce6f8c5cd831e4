using System.Text.Json;
using System.Text.Json.Serialization;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>Turns device state records into JSON and back. Reading is strict: what a schema does not name is an error, not ignored.</summary>
public static class DeviceStateJson
{
    /// <summary>What every context that reads saved state is made with. A new object each time: options belong to one context.</summary>
    public static JsonSerializerOptions NewOptions() => new(JsonSerializerDefaults.Web)
    {
        NumberHandling = JsonNumberHandling.Strict,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        PropertyNameCaseInsensitive = false,
        MaxDepth = 32,
    };

    public static DeviceState Write(string device, ISavedState saved) =>
        new(device, saved.Schema, saved.SchemaVersion, JsonSerializer.SerializeToElement(saved.SaveState(), saved.StateJson));

    /// <summary>The record that <paramref name="state"/> holds for <paramref name="reader"/>.</summary>
    /// <exception cref="InvalidDataException">Another schema, an unknown version, or not such a record. The message says which, and for what device.</exception>
    public static object Read(DeviceState state, ISavedState reader)
    {
        if (state.Schema != reader.Schema)
        {
            throw new InvalidDataException($"The state of device '{state.Device}' follows schema '{state.Schema}'; the device reads '{reader.Schema}'.");
        }

        if (state.Version != reader.SchemaVersion)
        {
            throw new InvalidDataException(
                $"The state of device '{state.Device}' follows version {state.Version} of schema '{state.Schema}'; this build reads version {reader.SchemaVersion}.");
        }

        if (HasEmptyElement(state.State))
        {
            throw new InvalidDataException($"The state of device '{state.Device}' has a list with nothing in the place of an element.");
        }

        try
        {
            return state.State.Deserialize(reader.StateJson)
                ?? throw new InvalidDataException($"The state of device '{state.Device}' is null.");
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException or FormatException)
        {
            throw new InvalidDataException($"The state of device '{state.Device}' is not '{state.Schema}' version {state.Version}.", exception);
        }
    }

    /// <summary>Whether some array holds null. The serialiser checks members against nullable annotations, but not elements, and no schema has empty ones.</summary>
    internal static bool HasEmptyElement(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().Any(item => item.ValueKind == JsonValueKind.Null || HasEmptyElement(item)),
        JsonValueKind.Object => element.EnumerateObject().Any(member => HasEmptyElement(member.Value)),
        _ => false,
    };
}
