using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Input.Ps2;

/// <summary>How the state of the keyboard controller and of what hangs on it is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(I8042.State), TypeInfoPropertyName = "State")]
internal sealed partial class I8042StateJson : JsonSerializerContext
{
    public static I8042StateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
