using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>How the state of the host bridge is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(PciHostBridge.State), TypeInfoPropertyName = "State")]
internal sealed partial class PciHostBridgeStateJson : JsonSerializerContext
{
    public static StateSchema<PciHostBridge.State> Schema { get; } = new("pci-host-bridge", new PciHostBridgeStateJson(StrictJson.NewOptions()).State);
}
