using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Input.Ps2;

/// <summary>
/// How the state of the keyboard controller and of what hangs on it is read and written, generated when this is compiled.
/// </summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(I8042.State), TypeInfoPropertyName = "State")]
internal sealed partial class I8042StateJson : JsonSerializerContext
{
    public static StateSchema<I8042.State> Schema { get; } = new("i8042", new I8042StateJson(StrictJson.NewOptions()).State);
}
