using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>How the state of the display is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BochsDisplay.State), TypeInfoPropertyName = "State")]
internal sealed partial class BochsDisplayStateJson : JsonSerializerContext
{
    public static StateSchema<BochsDisplay.State> Schema { get; } = new(
        "bochs-display", new BochsDisplayStateJson(StrictJson.NewOptions()).State);
}
