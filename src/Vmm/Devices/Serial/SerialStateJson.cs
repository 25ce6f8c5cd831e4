using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Serial;

/// <summary>How the states of the serial port are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(UartState), TypeInfoPropertyName = nameof(Uart16550))]
internal sealed partial class SerialStateJson : JsonSerializerContext
{
    public static SerialStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
