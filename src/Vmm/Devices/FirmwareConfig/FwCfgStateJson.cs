using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.FirmwareConfig;

/// <summary>How the state of fw_cfg is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(FwCfg.State), TypeInfoPropertyName = "State")]
internal sealed partial class FwCfgStateJson : JsonSerializerContext
{
    public static StateSchema<FwCfg.State> Schema { get; } = new("fw-cfg", new FwCfgStateJson(StrictJson.NewOptions()).State);
}
