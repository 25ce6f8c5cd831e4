using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Power.ResetRegister;

/// <summary>How the state of the reset control register is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(ResetControl.State), TypeInfoPropertyName = "State")]
internal sealed partial class ResetControlStateJson : JsonSerializerContext
{
    public static StateSchema<ResetControl.State> Schema { get; } = new(
        "reset-control", new ResetControlStateJson(StrictJson.NewOptions()).State);
}
