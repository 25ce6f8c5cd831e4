using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Input;

/// <summary>How the states of the keyboard controller and what hangs on it are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(I8042.State), TypeInfoPropertyName = nameof(I8042))]
internal sealed partial class InputStateJson : JsonSerializerContext
{
    public static InputStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
