using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>How the state of the host bridge is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(PciHostBridge.State), TypeInfoPropertyName = "State")]
internal sealed partial class PciHostBridgeStateJson : JsonSerializerContext
{
    public static StateSchema<PciHostBridge.State> Schema { get; } =
        new("pci-host-bridge", new PciHostBridgeStateJson(StrictJson.NewOptions()).State, HasItsMap);

    /// <summary>1 to 2: the map of addresses was the same in all machines.</summary>
    private static void HasItsMap(JsonObject body) => body["map"] = new JsonObject
    {
        ["lowMemoryEnd"] = 0xc000_0000UL,
        ["ecam"] = new JsonObject { ["base"] = 0xe000_0000UL, ["buses"] = 256 },
        ["memory32"] = new JsonObject { ["first"] = 0xc000_0000UL, ["end"] = 0xe000_0000UL },
        ["memory64"] = new JsonObject { ["first"] = 0x80_0000_0000UL, ["end"] = 0x100_0000_0000UL },
    };
}
