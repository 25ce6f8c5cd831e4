using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>How the states of the PCI host bridge are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(PciHostBridge.State), TypeInfoPropertyName = nameof(PciHostBridge))]
internal sealed partial class PciStateJson : JsonSerializerContext
{
    public static PciStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
