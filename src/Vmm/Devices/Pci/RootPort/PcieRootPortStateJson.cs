using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Pci.RootPort;

/// <summary>How the state of a root port is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(PcieRootPort.State), TypeInfoPropertyName = "State")]
internal sealed partial class PcieRootPortStateJson : JsonSerializerContext
{
    public static StateSchema<PcieRootPort.State> Schema { get; } =
        new("pcie-root-port", new PcieRootPortStateJson(StrictJson.NewOptions()).State);
}
