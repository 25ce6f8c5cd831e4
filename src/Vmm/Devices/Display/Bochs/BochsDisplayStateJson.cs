using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>How the state of the display is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BochsDisplay.State), TypeInfoPropertyName = "State")]
internal sealed partial class BochsDisplayStateJson : JsonSerializerContext
{
    public static BochsDisplayStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
