using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Power.SystemControl;

/// <summary>How the state of system control port A is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(SystemControlPort.State), TypeInfoPropertyName = "State")]
internal sealed partial class SystemControlPortStateJson : JsonSerializerContext
{
    public static StateSchema<SystemControlPort.State> Schema { get; } = new(
        "system-control-a", new SystemControlPortStateJson(StrictJson.NewOptions()).State);
}
