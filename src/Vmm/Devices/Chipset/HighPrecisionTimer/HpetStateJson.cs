using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;

/// <summary>How the state of the event timers is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(Hpet.State), TypeInfoPropertyName = "State")]
internal sealed partial class HpetStateJson : JsonSerializerContext
{
    public static StateSchema<Hpet.State> Schema { get; } = new("hpet", new HpetStateJson(StrictJson.NewOptions()).State);
}
