using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Chipset.Clock;

/// <summary>How the state of the clock chip is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(RealTimeClock.State), TypeInfoPropertyName = "State")]
internal sealed partial class RealTimeClockStateJson : JsonSerializerContext
{
    public static RealTimeClockStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
