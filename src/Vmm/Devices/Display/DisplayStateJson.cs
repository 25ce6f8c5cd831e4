using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Display;

/// <summary>How the states of the display device are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BochsDisplay.State), TypeInfoPropertyName = nameof(BochsDisplay))]
internal sealed partial class DisplayStateJson : JsonSerializerContext
{
    public static DisplayStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
