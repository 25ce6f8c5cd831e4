using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>How the state of a 16550 is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(UartState), TypeInfoPropertyName = "State")]
internal sealed partial class UartStateJson : JsonSerializerContext
{
    public static UartStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
