using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>How the state of a 16550 is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(UartState), TypeInfoPropertyName = "State")]
internal sealed partial class UartStateJson : JsonSerializerContext
{
    public static StateSchema<UartState> Schema { get; } = new("16550", new UartStateJson(StrictJson.NewOptions()).State);
}
