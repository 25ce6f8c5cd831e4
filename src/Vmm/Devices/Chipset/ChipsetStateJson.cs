using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Chipset;

/// <summary>How the states of the chipset's devices are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(Hpet.State), TypeInfoPropertyName = nameof(Hpet))]
[JsonSerializable(typeof(RealTimeClock.State), TypeInfoPropertyName = nameof(RealTimeClock))]
internal sealed partial class ChipsetStateJson : JsonSerializerContext
{
    public static ChipsetStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
