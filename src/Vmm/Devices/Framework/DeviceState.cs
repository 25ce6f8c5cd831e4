using System.Text.Json;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>The saved state of one device: says of itself which schema it follows, so that any build knows whether it can read it.</summary>
/// <param name="Device">The device's name.</param>
/// <param name="Schema">Name of the state's schema.</param>
/// <param name="Version">Version of the schema.</param>
/// <param name="State">The state, a JSON object.</param>
public sealed record DeviceState(string Device, string Schema, int Version, JsonElement State);
