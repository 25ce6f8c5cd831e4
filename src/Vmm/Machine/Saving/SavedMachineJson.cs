using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>How machine.json is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(SavedMachine))]
[JsonSerializable(typeof(JsonObject))]
internal sealed partial class SavedMachineJson : JsonSerializerContext
{
    public static SavedMachineJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
