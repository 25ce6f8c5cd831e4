using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Guest.Tests.OwnDevice;

public sealed record TallyState(byte Count);

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(TallyState), TypeInfoPropertyName = "State")]
internal sealed partial class TallyStateJson : JsonSerializerContext
{
    public static TallyStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
