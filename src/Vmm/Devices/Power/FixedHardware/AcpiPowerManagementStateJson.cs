using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Power.FixedHardware;

/// <summary>How the state of ACPI's fixed hardware is read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(AcpiPowerManagement.State), TypeInfoPropertyName = "State")]
internal sealed partial class AcpiPowerManagementStateJson : JsonSerializerContext
{
    public static StateSchema<AcpiPowerManagement.State> Schema { get; } = new(
        "acpi-pm", new AcpiPowerManagementStateJson(StrictJson.NewOptions()).State);
}
