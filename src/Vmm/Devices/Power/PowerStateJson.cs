using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Power;

/// <summary>How the states of the power and reset devices are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(AcpiPowerManagement.State), TypeInfoPropertyName = nameof(AcpiPowerManagement))]
[JsonSerializable(typeof(ResetControl.State), TypeInfoPropertyName = nameof(ResetControl))]
[JsonSerializable(typeof(SystemControlPort.State), TypeInfoPropertyName = nameof(SystemControlPort))]
internal sealed partial class PowerStateJson : JsonSerializerContext
{
    public static PowerStateJson Strict { get; } = new(DeviceStateJson.NewOptions());
}
