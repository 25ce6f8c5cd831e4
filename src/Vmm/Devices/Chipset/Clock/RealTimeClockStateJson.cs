using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Chipset.Clock;

/// <summary>How the state of the clock chip is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(RealTimeClock.State), TypeInfoPropertyName = "State")]
internal sealed partial class RealTimeClockStateJson : JsonSerializerContext
{
    public static StateSchema<RealTimeClock.State> Schema { get; } = new(
        "mc146818", new RealTimeClockStateJson(StrictJson.NewOptions()).State);
}
